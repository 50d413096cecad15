"""The units of a job, and the workers."""

from aiohttp import web

from api_service.app_keys import JOBS, LINKS, TENANT, WORKERS
from api_service.auth.authenticator import DEFAULT_TENANT
from api_service.handlers.bodies import json_response
from api_service.wire import parameters
from api_service.wire.documents import Page
from api_service.wire.workers import (
    encode_units_cursor,
    unit_document,
    units_left,
    worker_document,
)
from shared.core.lifecycle import UnitKind, UnitState
from shared.errors import Forbidden


async def units_of_job(request: web.Request) -> web.Response:
    job_id, query = request.match_info["id"], request.query
    kind, state = parameters.one_of(query, "kind", UnitKind), parameters.one_of(query, "state", UnitState)
    limit = parameters.list_limit(query)
    kinds, no = units_left(job_id, kind, parameters.single(query, "after"))
    found, further = await request.app[JOBS].units(
        request[TENANT], job_id, kinds, state=state, after=no, limit=limit
    )
    after = encode_units_cursor(job_id, found[-1]) if further else None
    return json_response(Page([unit_document(unit) for unit in found], after))


def check_owner(request: web.Request) -> None:
    """Workers serve all tenants, so no tenant but the first may see or stop them."""
    if request[TENANT] != DEFAULT_TENANT:
        raise Forbidden(
            f"Workers serve all tenants: they need a key of the tenant {DEFAULT_TENANT}, and this key is of "
            f"{request[TENANT]}"
        )


async def search_workers(request: web.Request) -> web.Response:
    check_owner(request)
    after, limit = parameters.after(request.query, parameters.WORKER), parameters.list_limit(request.query)
    found, further = await request.app[WORKERS].page(after, limit)
    items = [worker_document(each, request.app[LINKS]) for each in found]
    return json_response(Page(items, found[-1].id if further else None))


async def drain_worker(request: web.Request) -> web.Response:
    check_owner(request)
    worker = await request.app[WORKERS].drain(request.match_info["id"])
    return json_response(worker_document(worker, request.app[LINKS]), status=202)
