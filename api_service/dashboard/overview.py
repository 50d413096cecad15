"""The first page: the work under way, and the failures to look at."""

from aiohttp import web

from api_service.app_keys import JOBS, READINESS, TENANT
from api_service.dashboard.jobs import rows_of
from api_service.dashboard.rendering import page
from shared.core.job_filter import JobFilter

NEWEST = 10


async def show(request: web.Request) -> web.Response:
    newest, _ = await request.app[JOBS].newest(request[TENANT], JobFilter(), after=None, limit=NEWEST)
    ready = await request.app[READINESS].check()
    return page(request, "overview.html", jobs=rows_of(request, newest), ready=ready)
