"""The workers: the units and memory of each, and the button that drains it."""

from aiohttp import web

from api_service.app_keys import LINKS, WORKERS
from api_service.dashboard.rendering import form, page, see_other
from api_service.handlers.live import check_owner
from api_service.wire import parameters
from api_service.wire.workers import worker_document

LIMIT = 100


async def show(request: web.Request) -> web.Response:
    check_owner(request)
    found, further = await request.app[WORKERS].page(
        parameters.after(request.query, parameters.WORKER), LIMIT
    )
    return page(
        request,
        "workers.html",
        workers=[worker_document(each, request.app[LINKS]) for each in found],
        more=f"/workers?after={found[-1].id}" if further else None,
        first="after" not in request.query,
        here_with_query=request.path_qs,
    )


async def drain(request: web.Request) -> web.Response:
    await form(request)
    check_owner(request)
    await request.app[WORKERS].drain(request.match_info["id"])
    return see_other(request, "/workers")
