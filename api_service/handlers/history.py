"""The history of a job."""

from aiohttp import web

from api_service.app_keys import HISTORY, TENANT
from api_service.handlers.bodies import json_response
from api_service.wire import parameters
from api_service.wire.history import after_entry, history_page


async def of_job(request: web.Request) -> web.Response:
    entries, further = await request.app[HISTORY].page(
        request[TENANT],
        request.match_info["id"],
        after=after_entry(request.query),
        limit=parameters.list_limit(request.query),
    )
    return json_response(history_page(entries, further=further))
