"""Cancelling and retrying all jobs that fit a filter: a page that names their number, and its form."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web
from multidict import MultiDict

from api_service.app_keys import BULK, CHANGED, TENANT, actor_of
from api_service.dashboard.job_filters import filters_of, path_of
from api_service.dashboard.rendering import form, page
from api_service.operations import Handler
from api_service.wire import parameters
from api_service.wire.filters import job_filter
from shared.core.job_filter import Outcome
from shared.core.lifecycle import JOB, sources
from shared.errors import UnexpectedCount
from shared.spec.bulk import MOST_JOBS, BulkRequest, JobFilterSpec

CHANGES = ("cancel", "retry")


def allowed(state: str) -> list[str]:
    """The changes that all jobs in one state can have."""
    return [change for change in CHANGES if state in sources(JOB, change)]


def ask(change: str) -> Handler:
    """The handler of the page that asks whether to make the *change*."""

    async def show(request: web.Request) -> web.Response:
        return await _question(request, change, filters_of(request.query.items()))

    show.__doc__ = f"Ask whether to {change} all jobs that fit a filter"
    return show


async def _question(
    request: web.Request, change: str, filters: MultiDict[str], *, error: str | None = None
) -> web.Response:
    number = await request.app[BULK].count(request[TENANT], job_filter(filters))
    return page(
        request,
        "bulk.html",
        status=409 if error else 200,
        change=change,
        number=number,
        most=MOST_JOBS,
        filters=list(filters.items()),
        back=path_of("/jobs", filters.items()),
        error=error,
    )


def act(change: str) -> Handler:
    """The handler of the form on that page."""

    async def apply(request: web.Request) -> web.Response:
        fields = await form(request)
        filters = filters_of(fields.items())
        expected = parameters.whole_number(fields, "expected", default=None, most=MOST_JOBS)
        wanted = BulkRequest.model_construct(
            filter=JobFilterSpec.model_construct(**asdict(job_filter(filters))), expected=expected or 0
        )
        apply_all = getattr(request.app[BULK], change)
        try:
            outcomes = await apply_all(request[TENANT], wanted, actor_of(request))
        except UnexpectedCount as error:
            return await _question(request, change, filters, error=error.detail)
        request[CHANGED] = [each.job_id for each in outcomes if each.changed]
        return page(request, "bulk_done.html", **_done(outcomes), back=path_of("/jobs", filters.items()))

    apply.__doc__ = f"{change.capitalize()} all jobs that fit a filter"
    return apply


def _done(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "outcomes": outcomes,
        "changed": sum(each.changed for each in outcomes),
        "refused": [each for each in outcomes if each.error is not None],
    }
