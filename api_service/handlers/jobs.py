"""Submitting, reading, listing and changing jobs."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from api_service.app_keys import JOB, JOBS, LINKS, PLANS, SETTINGS, SPEC_CHECKER, TENANT, actor_of
from api_service.handlers.bodies import encoded_response, json_body, json_response
from api_service.handlers.sent import sent
from api_service.problems import RETRY_SECONDS
from api_service.services.jobs import JobView
from api_service.services.watching import Standing
from api_service.wire import parameters
from api_service.wire.documents import Page, job_summary
from api_service.wire.filters import job_filter
from api_service.wire.headers import etag_matches, idempotency_key, preferred_wait
from api_service.wire.plans import named_plan
from shared.core.entities import Job, Progress
from shared.core.lifecycle import JobState
from shared.errors import TransientError

_DONE = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


async def submit(request: web.Request) -> web.Response:
    key = idempotency_key(request.headers.get("Idempotency-Key"))
    body = await json_body(request, request.app[SETTINGS].max_spec_bytes)
    if (plan_id := named_plan(body)) is not None:
        job, replayed = await _submit_plan(request, plan_id, key)
    else:
        spec = await request.app[SPEC_CHECKER].check(request[TENANT], body)
        job, replayed = await request.app[JOBS].submit(request[TENANT], spec, key, actor_of(request))
    request[JOB] = job.id
    view, headers = await _after_submit(request, job)
    headers["Location"] = request.app[LINKS](f"/v1/jobs/{job.id}")
    if not view.job.done:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    body = sent(view, request.app[LINKS]).body
    return encoded_response(body, status=200 if view.job.done else 202, headers=headers)


async def _submit_plan(request: web.Request, plan_id: str, key: str | None) -> tuple[Job, bool]:
    """A job of a dry run's spec, which begins with the dry run's plan."""
    tenant, plans = request[TENANT], request.app[PLANS]
    if key is not None and (known := await plans.replayed(tenant, plan_id, key)) is not None:
        return known, True
    spec = await plans.spec_of(tenant, plan_id)
    checked = await request.app[SPEC_CHECKER].check(tenant, spec)
    return await plans.begin(tenant, plan_id, checked, key, actor_of(request))


async def _after_submit(request: web.Request, job: Job) -> tuple[JobView, dict[str, str]]:
    """The view after the wait that the request asks for, and the headers that say so.

    The job is committed, so the client must learn its id even when Postgres does not answer any more.
    """
    service = request.app[JOBS]
    try:
        applied = await _wait(request, job, lambda standing: standing[0] in _DONE)
        return await (service.read(job.tenant, job.id) if applied else service.submitted(job)), applied
    except TransientError:
        return JobView(job, Progress()), {}


async def read(request: web.Request) -> web.Response:
    service, tenant, job_id = request.app[JOBS], request[TENANT], request.match_info["id"]
    view, headers = await service.read(tenant, job_id), {}
    if "Prefer" in request.headers:
        seen = view.standing
        if headers := await _wait(request, view.job, lambda now: now[0] in _DONE or now != seen):
            view = await service.read(tenant, job_id)
    form = sent(view, request.app[LINKS])
    headers["ETag"] = form.etag
    if "If-None-Match" in request.headers and etag_matches(
        request.headers.getall("If-None-Match"), form.etag
    ):
        return web.Response(status=304, headers=headers)
    return encoded_response(form.body, headers=headers)


async def search(request: web.Request) -> web.Response:
    found, further = await request.app[JOBS].newest(
        request[TENANT],
        job_filter(request.query),
        after=parameters.after(request.query, parameters.JOB),
        limit=parameters.list_limit(request.query),
    )
    now, link = datetime.now(UTC), request.app[LINKS]
    items = [job_summary(each.job, each.progress, now, link, each.rows) for each in found]
    return json_response(Page(items, items[-1].id if further else None))


async def cancel(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].cancel)


async def pause(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].pause)


async def resume(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].resume)


async def retry(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].retry)


async def _change(
    request: web.Request, change: Callable[[str, str, str], Awaitable[JobView]]
) -> web.Response:
    link = request.app[LINKS]
    view = await change(request[TENANT], request.match_info["id"], actor_of(request))
    headers = {"Location": link(f"/v1/jobs/{view.job.id}")}
    return encoded_response(sent(view, link).body, status=202, headers=headers)


async def _wait(request: web.Request, job: Job, until: Callable[[Standing], bool]) -> dict[str, str]:
    """Wait as `Prefer: wait=N` asks; returns the header that confirms it, if it does ask."""
    if "Prefer" not in request.headers:
        return {}
    seconds = preferred_wait(request.headers.getall("Prefer"))
    if seconds is None:
        return {}
    await request.app[JOBS].wait(job, seconds, until, gone=lambda: request.transport is None)
    return {"Preference-Applied": f"wait={seconds}"}
