"""The list of jobs, with its filters in the URL."""

from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web
from msgspec.structs import asdict

from api_service.app_keys import JOBS, LINKS, TENANT
from api_service.dashboard.bulk import allowed
from api_service.dashboard.job_filters import fields_of, filters_of, kept_of, path_of
from api_service.dashboard.rendering import page
from api_service.services.jobs import JobView
from api_service.wire import parameters
from api_service.wire.documents import JobDocument, job_summary
from api_service.wire.filters import job_filter
from shared.core.lifecycle import JobState

LIMIT = 50


class JobRow(JobDocument, frozen=True, kw_only=True):
    """A job in a list; `name` is that of its result, which may not be there yet."""

    name: str | None


async def show(request: web.Request) -> web.Response:
    """List the jobs, newest first."""
    filters, after = filters_of(request.query.items()), parameters.after(request.query, parameters.JOB)
    found, further = await request.app[JOBS].newest(
        request[TENANT], job_filter(filters), after=after, limit=LIMIT
    )
    rows, older = rows_of(request, found), [*filters.items(), ("after", found[-1].job.id if found else "")]
    return page(
        request,
        "jobs.html",
        jobs=rows,
        filters=fields_of(filters),
        labels=filters.getall("label", [""]),
        kept=kept_of(filters),
        filtered=bool(filters),
        states=list(JobState),
        here_with_query=path_of("/jobs", filters.items()),
        live=after is None and "source" not in filters and not all(row.done for row in rows),
        older=path_of("/jobs", older) if further else None,
        first=after is None,
        bulk={name: path_of(f"/jobs/{name}", filters.items()) for name in allowed(filters.get("state", ""))},
    )


def rows_of(request: web.Request, views: Sequence[JobView]) -> list[JobRow]:
    """The documents of jobs, as `GET /v1/jobs` has them."""
    now, link = datetime.now(UTC), request.app[LINKS]
    documents = [job_summary(view.job, view.progress, now, link, view.rows) for view in views]
    return [
        JobRow(**asdict(document), name=view.job.result_name)
        for document, view in zip(documents, views, strict=True)
    ]
