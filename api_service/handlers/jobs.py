"""Submitting, reading, listing and cancelling jobs."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from api_service.bodies import json_body
from api_service.handlers.answers import json_response
from api_service.keys import JOBS, SETTINGS, TENANT
from api_service.problems import RETRY_SECONDS
from api_service.wire import parameters
from api_service.wire.documents import etag, job_document, job_summary
from api_service.wire.headers import idempotency_key, is_known, preferred_wait
from shared.db.jobs import Job

LIST_JOBS = 100
MAX_LIST_JOBS = 1000


async def submit(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    key = idempotency_key(request.headers.get("Idempotency-Key"))
    body = await json_body(request, request.app[SETTINGS].max_spec_bytes)
    job, replayed = await request.app[JOBS].submit(request[TENANT], body, key)
    job, applied = await _waited(request, job, lambda job: job.done)
    headers = {"Location": f"/v1/jobs/{job.id}", **applied}
    if not job.done:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return json_response(await _document(request, job), status=200 if job.done else 202, headers=headers)


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    job = await request.app[JOBS].get(request[TENANT], request.match_info["id"])
    seen = job.state, job.phase
    job, applied = await _waited(request, job, lambda job: job.done or (job.state, job.phase) != seen)
    watched = await request.app[JOBS].watched(job)
    headers = {"ETag": etag(job, watched.progress, current=watched.current), **applied}
    if is_known(request.headers.getall("If-None-Match", []), headers["ETag"]):
        return web.Response(status=304, headers=headers)
    return json_response(job_document(job, watched.progress, datetime.now(UTC), current=watched.current), headers=headers)


async def search(request: web.Request) -> web.Response:
    parameters.only(request.query, ("state", "label", "after", "limit"))
    limit = parameters.whole_number(request.query, "limit", default=LIST_JOBS, most=MAX_LIST_JOBS)
    assert limit is not None
    found = await request.app[JOBS].newest(
        request[TENANT],
        state=parameters.job_state(request.query),
        labels=parameters.labels(request.query),
        after=parameters.after_job(request.query),
        limit=limit + 1,
    )
    now = datetime.now(UTC)
    items = [job_summary(each.job, each.progress, now, current=each.current) for each in found[:limit]]
    return json_response({"items": items, "next": items[-1]["id"] if len(found) > limit else None})


async def cancel(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    job = await request.app[JOBS].cancel(request[TENANT], request.match_info["id"])
    return json_response(await _document(request, job), status=202, headers={"Location": f"/v1/jobs/{job.id}"})


async def _document(request: web.Request, job: Job) -> dict[str, Any]:
    watched = await request.app[JOBS].watched(job)
    return job_document(job, watched.progress, datetime.now(UTC), current=watched.current)


async def _waited(request: web.Request, job: Job, until: Callable[[Job], bool]) -> tuple[Job, dict[str, str]]:
    """The job after what `Prefer: wait=N` asks for, and the header that says it was heeded."""
    seconds = preferred_wait(request.headers.getall("Prefer", []))
    if seconds is None:
        return job, {}
    return await request.app[JOBS].wait(job, seconds, until), {"Preference-Applied": f"wait={seconds}"}
