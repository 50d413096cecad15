"""The first page: the work under way, the last hour, and the failures to look at."""

from urllib.parse import urlencode

from aiohttp import web

from api_service.app_keys import OVERVIEW, TENANT
from api_service.dashboard.jobs import rows_of
from api_service.dashboard.rendering import page
from shared.core.overview import MINUTES, FailureGroup
from shared.db.overview import FAILED_WITHIN, MOST_JOBS, MOST_WAITING


async def show(request: web.Request) -> web.Response:
    standing = await request.app[OVERVIEW].read(request[TENANT])
    failures, newest = standing.overview.failures, standing.newest
    return page(
        request,
        "overview.html",
        overview=standing.overview,
        most_waiting=MOST_WAITING,
        days=FAILED_WITHIN.days,
        most_jobs=MOST_JOBS,
        failures=None if failures is None else [(group, jobs_of(group)) for group in failures],
        jobs=None if newest is None else rows_of(request, newest),
        hour=MINUTES,
        late=[*standing.overview.late, *(["the newest jobs"] if newest is None else [])],
        ready=standing.ready,
        seconds=standing.seconds,
    )


def jobs_of(group: FailureGroup) -> str:
    """The path of the list with the jobs of a group."""
    return f"/jobs?{urlencode({'state': 'failed', 'error_code': group.code})}"
