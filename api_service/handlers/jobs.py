"""Submitting, reading, listing and changing jobs."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from api_service.app_keys import JOBS, SETTINGS, SPEC_CHECKER, TENANT
from api_service.handlers.bodies import json_body, json_response
from api_service.problems import RETRY_SECONDS
from api_service.services.jobs import JobView
from api_service.wire import parameters
from api_service.wire.documents import JobDocument, etag, job_document, job_summary
from api_service.wire.headers import etag_matches, idempotency_key, preferred_wait
from shared.core.entities import Job, Progress
from shared.errors import TransientError


async def submit(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    key = idempotency_key(request.headers.get("Idempotency-Key"))
    body = await json_body(request, request.app[SETTINGS].max_spec_bytes)
    spec = await request.app[SPEC_CHECKER].check(request[TENANT], body)
    job, replayed = await request.app[JOBS].submit(request[TENANT], spec, key)
    view, headers = await _after_submit(request, job)
    headers["Location"] = f"/v1/jobs/{job.id}"
    if not view.job.done:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_response(_document(view), status=200 if view.job.done else 202, headers=headers)


async def _after_submit(request: web.Request, job: Job) -> tuple[JobView, dict[str, str]]:
    """The view after the wait that the request asks for, and the headers that say so.

    The job is committed, so the client must learn its id even when Postgres does not answer any more.
    """
    try:
        waited, applied = await _wait(request, job, lambda job: job.done)
        return await request.app[JOBS].view(waited), applied
    except TransientError:
        return JobView(job, Progress(), current=False), {}


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    job = await request.app[JOBS].get(request[TENANT], request.match_info["id"])
    seen = job.state, job.phase
    job, applied = await _wait(request, job, lambda job: job.done or (job.state, job.phase) != seen)
    view = await request.app[JOBS].view(job)
    headers = {"ETag": etag(job, view.progress, current=view.current), **applied}
    if etag_matches(request.headers.getall("If-None-Match", []), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    return json_response(_document(view), headers=headers)


async def search(request: web.Request) -> web.Response:
    parameters.only(request.query, ("state", "label", "after", "limit"))
    found, further = await request.app[JOBS].newest(
        request[TENANT],
        state=parameters.job_state(request.query),
        labels=parameters.labels(request.query),
        after=parameters.after_job(request.query),
        limit=parameters.list_limit(request.query),
    )
    now = datetime.now(UTC)
    items = [job_summary(each.job, each.progress, now, current=each.current) for each in found]
    return json_response({"items": items, "next": items[-1].id if further else None})


async def cancel(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].cancel)


async def pause(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].pause)


async def resume(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].resume)


async def retry(request: web.Request) -> web.Response:
    return await _change(request, request.app[JOBS].retry)


async def _change(request: web.Request, change: Callable[[str, str], Awaitable[Job]]) -> web.Response:
    parameters.only(request.query, ())
    job = await change(request[TENANT], request.match_info["id"])
    view = await request.app[JOBS].view(job)
    return json_response(_document(view), status=202, headers={"Location": f"/v1/jobs/{job.id}"})


def _document(view: JobView) -> JobDocument:
    return job_document(view.job, view.progress, datetime.now(UTC), current=view.current)


async def _wait(request: web.Request, job: Job, until: Callable[[Job], bool]) -> tuple[Job, dict[str, str]]:
    """The job after the wait of `Prefer: wait=N`, and the header that confirms it."""
    seconds = preferred_wait(request.headers.getall("Prefer", []))
    if seconds is None:
        return job, {}
    waited = await request.app[JOBS].wait(job, seconds, until, gone=lambda: request.transport is None)
    return waited, {"Preference-Applied": f"wait={seconds}"}
