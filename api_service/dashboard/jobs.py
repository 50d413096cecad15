"""The list of jobs, with its filters in the URL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

from aiohttp import web

from api_service.app_keys import JOBS, LINKS, TENANT
from api_service.dashboard.rendering import asked, page
from api_service.services.jobs import JobView
from api_service.wire import parameters
from api_service.wire.documents import JobDocument, job_summary
from api_service.wire.filters import job_filter
from shared.core.lifecycle import JobState

LIMIT = 50
FILTERS = ("state", "name", "source", "label", "created_after", "created_before", "error_code")


async def show(request: web.Request) -> web.Response:
    query = asked(request)
    found, further = await request.app[JOBS].newest(
        request[TENANT], job_filter(query), after=parameters.after(query, parameters.JOB), limit=LIMIT
    )
    query.pop("after", None)
    older = f"/jobs?{urlencode([*query.items(), ('after', found[-1].job.id)])}" if further else None
    return page(
        request,
        "jobs.html",
        jobs=rows_of(request, found),
        filters={name: query.get(name, "") for name in FILTERS},
        filtered=bool(query),
        states=list(JobState),
        older=older,
        first="after" not in request.query,
    )


def rows_of(request: web.Request, views: Sequence[JobView]) -> list[JobDocument]:
    """The documents of jobs, as `GET /v1/jobs` has them."""
    now, link = datetime.now(UTC), request.app[LINKS]
    return [job_summary(view.job, view.progress, now, link, view.rows) for view in views]
