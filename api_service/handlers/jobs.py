"""Submitting, reading and listing jobs, and what may be done to one."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from api_service.bodies import json_body
from api_service.handlers.answers import json_response
from api_service.keys import JOBS, SETTINGS, TENANT
from api_service.problems import RETRY_SECONDS
from api_service.services.jobs import Watched
from api_service.wire import parameters
from api_service.wire.documents import etag, job_document, job_summary
from api_service.wire.headers import idempotency_key, is_known, preferred_wait
from shared.core.entities import Job, Progress
from shared.errors import TransientError


async def submit(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    key = idempotency_key(request.headers.get("Idempotency-Key"))
    body = await json_body(request, request.app[SETTINGS].max_spec_bytes)
    job, replayed = await request.app[JOBS].submit(request[TENANT], body, key)
    watched, headers = await _accepted(request, job)
    headers["Location"] = f"/v1/jobs/{job.id}"
    if not watched.job.done:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_response(_document(watched), status=200 if watched.job.done else 202, headers=headers)


async def _accepted(request: web.Request, job: Job) -> tuple[Watched, dict[str, str]]:
    """The job is committed: its sender must learn its id, whatever happens to Postgres from now on."""
    try:
        waited, applied = await _waited(request, job, lambda job: job.done)
        return await request.app[JOBS].watched(waited), applied
    except TransientError:
        return Watched(job, Progress(), current=False), {}


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    job = await request.app[JOBS].get(request[TENANT], request.match_info["id"])
    seen = job.state, job.phase
    job, applied = await _waited(request, job, lambda job: job.done or (job.state, job.phase) != seen)
    watched = await request.app[JOBS].watched(job)
    headers = {"ETag": etag(job, watched.progress, current=watched.current), **applied}
    if is_known(request.headers.getall("If-None-Match", []), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    return json_response(_document(watched), headers=headers)


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
    return json_response({"items": items, "next": items[-1]["id"] if further else None})


async def cancel(request: web.Request) -> web.Response:
    return await _changed(request, request.app[JOBS].cancel)


async def pause(request: web.Request) -> web.Response:
    return await _changed(request, request.app[JOBS].pause)


async def resume(request: web.Request) -> web.Response:
    return await _changed(request, request.app[JOBS].resume)


async def retry(request: web.Request) -> web.Response:
    return await _changed(request, request.app[JOBS].retry)


async def _changed(request: web.Request, change: Callable[[str, str], Awaitable[Job]]) -> web.Response:
    parameters.only(request.query, ())
    job = await change(request[TENANT], request.match_info["id"])
    watched = await request.app[JOBS].watched(job)
    return json_response(_document(watched), status=202, headers={"Location": f"/v1/jobs/{job.id}"})


def _document(watched: Watched) -> dict[str, Any]:
    return job_document(watched.job, watched.progress, datetime.now(UTC), current=watched.current)


async def _waited(request: web.Request, job: Job, until: Callable[[Job], bool]) -> tuple[Job, dict[str, str]]:
    """The job after what `Prefer: wait=N` asks for, and the header that says it was heeded."""
    seconds = preferred_wait(request.headers.getall("Prefer", []))
    if seconds is None:
        return job, {}
    waited = await request.app[JOBS].wait(job, seconds, until, gone=lambda: request.transport is None)
    return waited, {"Preference-Applied": f"wait={seconds}"}
