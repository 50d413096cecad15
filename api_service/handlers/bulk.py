"""Cancelling and retrying many jobs."""

from aiohttp import web

from api_service.app_keys import BULK, CHANGED, TENANT, actor_of
from api_service.handlers.bodies import BODY_BYTES, json_body, json_response
from api_service.wire.bulk import bulk_document
from shared.spec.bodies import read_body
from shared.spec.bulk import BulkRequest


async def cancel(request: web.Request) -> web.Response:
    wanted = await _wanted(request)
    outcomes = await request.app[BULK].cancel(request[TENANT], wanted, actor_of(request))
    request[CHANGED] = [each.job_id for each in outcomes if each.changed]
    return json_response(bulk_document(outcomes))


async def retry(request: web.Request) -> web.Response:
    wanted = await _wanted(request)
    outcomes = await request.app[BULK].retry(request[TENANT], wanted, actor_of(request))
    request[CHANGED] = [each.job_id for each in outcomes if each.changed]
    return json_response(bulk_document(outcomes))


async def _wanted(request: web.Request) -> BulkRequest:
    return read_body(BulkRequest, await json_body(request, BODY_BYTES))
