"""Cancelling and retrying many jobs."""

from aiohttp import web

from api_service.app_keys import BULK, JOBS, TENANT, actor_of
from api_service.handlers.bodies import BODY_BYTES, json_body, json_response
from api_service.services.bulk import Change
from api_service.wire.bulk import bulk_document
from shared.spec.bodies import read_body
from shared.spec.bulk import BulkRequest


async def cancel(request: web.Request) -> web.Response:
    return await _apply(request, request.app[JOBS].cancel)


async def retry(request: web.Request) -> web.Response:
    return await _apply(request, request.app[JOBS].retry)


async def _apply(request: web.Request, change: Change) -> web.Response:
    wanted = read_body(BulkRequest, await json_body(request, BODY_BYTES))
    outcomes = await request.app[BULK].apply(request[TENANT], wanted, change, actor_of(request))
    return json_response(bulk_document(outcomes))
