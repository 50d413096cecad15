"""GET /v1/jobs/{id}/receipt."""

from aiohttp import web

from api_service.handlers.answers import json_response
from api_service.keys import RECEIPTS, TENANT
from api_service.wire import parameters


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    return json_response(await request.app[RECEIPTS].get(request[TENANT], request.match_info["id"]))
