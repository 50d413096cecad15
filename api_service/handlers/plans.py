"""Dry runs: ask for one, read it, and delete it."""

from aiohttp import web

from api_service.app_keys import JOB, LINKS, PLANS, SETTINGS, SPEC_CHECKER, TENANT, actor_of
from api_service.handlers.bodies import json_body, json_response
from api_service.problems import RETRY_SECONDS
from api_service.services.plans import KEPT
from api_service.wire.headers import idempotency_key, preferred_wait
from api_service.wire.plans import plan_document
from shared.db.plans import DryRun

WAIT_SECONDS = 30
"""How long a request for a dry run stays open, unless the client prefers less."""


async def submit(request: web.Request) -> web.Response:
    tenant, plans = request[TENANT], request.app[PLANS]
    key = idempotency_key(request.headers.get("Idempotency-Key"))
    body = await json_body(request, request.app[SETTINGS].max_spec_bytes)
    spec = await request.app[SPEC_CHECKER].check(tenant, body, partial=True)
    plan_id, replayed = await plans.submit(tenant, spec, key, actor_of(request))
    request[JOB] = plan_id
    asked = preferred_wait(request.headers.getall("Prefer", []))
    seconds = WAIT_SECONDS if asked is None else min(asked, WAIT_SECONDS)
    found = await plans.wait(tenant, plan_id, seconds, gone=lambda: request.transport is None)
    headers = {"Location": request.app[LINKS](f"/v1/plans/{plan_id}")} | _applied(asked)
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    if not found.job.done:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return _answer(request, found, 200 if found.job.done else 202, headers)


async def read(request: web.Request) -> web.Response:
    tenant, plans = request[TENANT], request.app[PLANS]
    asked = preferred_wait(request.headers.getall("Prefer", []))
    seconds = 0 if asked is None else min(asked, WAIT_SECONDS)
    found = await plans.wait(
        tenant, request.match_info["id"], seconds, gone=lambda: request.transport is None
    )
    return _answer(request, found, 200, _applied(asked))


async def delete(request: web.Request) -> web.Response:
    await request.app[PLANS].delete(request[TENANT], request.match_info["id"])
    return web.Response(status=204)


def _applied(asked: int | None) -> dict[str, str]:
    return {} if asked is None else {"Preference-Applied": f"wait={min(asked, WAIT_SECONDS)}"}


def _answer(request: web.Request, found: DryRun, status: int, headers: dict[str, str]) -> web.Response:
    document = plan_document(
        found.job, found.look, request.app[LINKS], source_only=found.source_only, kept=KEPT
    )
    return json_response(document, status=status, headers=headers)
