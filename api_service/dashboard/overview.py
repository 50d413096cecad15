"""The first page: the work under way, the last hour, and the failures to look at."""

from urllib.parse import urlencode

from aiohttp import web

from api_service.app_keys import OVERVIEW, TENANT
from api_service.dashboard.jobs import rows_of
from api_service.dashboard.rendering import page
from shared.core.overview import FailureGroup
from shared.db.overview import FAILED_WITHIN, MOST_WAITING


async def show(request: web.Request) -> web.Response:
    standing = await request.app[OVERVIEW].read(request[TENANT])
    return page(
        request,
        "overview.html",
        overview=standing.overview,
        most_waiting=MOST_WAITING,
        days=FAILED_WITHIN.days,
        failures=[(group, jobs_of(group)) for group in standing.overview.failures],
        jobs=rows_of(request, standing.newest),
        ready=standing.ready,
        seconds=standing.seconds,
    )


def jobs_of(group: FailureGroup) -> str:
    """The path of the list with the jobs of a group."""
    return f"/jobs?{urlencode({'state': 'failed', 'error_code': group.code})}"
