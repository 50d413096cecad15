"""One log line for each change, with its author and its outcome; none for a request that only reads."""

import json
from typing import Any

import pytest
import structlog
from aiohttp import FormData
from pydantic import SecretStr

from api_service.audit import ACTIONS, ASKS, named
from api_service.auth.credentials import SAFE_METHODS
from api_service.auth.sessions import COOKIE, token
from api_service.dashboard.pages import PAGES
from api_service.routes import OPERATIONS
from tests.integration.test_gateway_keys import added, as_bearer, command
from tests.support.gateway import finish_job, gateway, insert_job, publish, spec_for

FIELDS = {
    "event", "log_level", "action", "object", "tenant", "key", "outcome", "status", "code", "client",
}  # fmt: skip
ADMIN = "a" * 40


def test_each_request_that_can_change_something_has_an_action_and_no_other():
    known = {named(each) for each in (*OPERATIONS, *PAGES) if each.method not in SAFE_METHODS}

    assert known == {*ACTIONS, *ASKS}


@pytest.fixture
def lines():
    """The audit lines so far."""
    with structlog.testing.capture_logs() as logged:
        yield lambda: [line for line in logged if line["event"] == "audit"]


def short(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    assert all(set(line) == FIELDS and line["log_level"] == "info" for line in lines), lines
    names = ("action", "object", "tenant", "key", "outcome", "status", "code")
    return [tuple(line[name] for name in names) for line in lines]


async def test_each_change_over_http_is_told_with_its_author_and_object(settings, lines):
    key = await added(settings, "laptop", "--tenant", "acme")
    _, said, _ = await command(settings, "keys", "list")
    key_id = said.split()[0]
    async with gateway(settings) as http:

        async def ask(method: str, path: str, status: int, **more: Any) -> Any:
            async with http.request(method, path, headers=as_bearer(key), **more) as answer:
                assert answer.status == status, await answer.text()
                return await answer.json(content_type=None) if await answer.read() else None

        upload = (await ask("POST", "/v1/uploads", 201, data=b"k\n"))["id"]
        job = (await ask("POST", "/v1/jobs", 202, json=spec_for(settings)))["id"]
        for change in ("pause", "resume", "cancel", "retry"):
            await ask("POST", f"/v1/jobs/{job}/{change}", 202)
        await ask("PATCH", f"/v1/jobs/{job}", 200, json={"priority": 9})
        await ask("POST", "/v1/jobs/cancel", 200, json={"filter": {"state": "queued"}, "expected": 1})
        await ask("DELETE", f"/v1/jobs/{job}", 204)
        made = (await ask("POST", "/v1/keys", 201, json={"scopes": ["read"]}))["id"]
        await ask("DELETE", f"/v1/keys/{made}", 204)
        await ask("DELETE", f"/v1/uploads/{upload}", 204)
        await ask("GET", "/v1/jobs", 200)
        assert [line[:2] for line in short(lines())] == [
            ("upload.create", upload), ("job.submit", job), ("job.pause", job), ("job.resume", job),
            ("job.cancel", job), ("job.retry", job), ("job.change", job), ("job.cancel", job),
            ("job.delete", job), ("key.create", made), ("key.revoke", made), ("upload.delete", upload),
        ]  # fmt: skip
        assert {line[2:5] for line in short(lines())} == {("acme", key_id, "done")}
        assert {line["client"] for line in lines()} == {"127.0.0.1"}


async def test_a_change_that_is_refused_is_told_with_its_code(settings, lines):
    key = await added(settings, "reader", "--scope", "read")
    _, said, _ = await command(settings, "keys", "list")
    key_id = said.split()[0]
    async with gateway(settings) as http:
        for headers, path in ((as_bearer(key), "/v1/jobs/job_1/cancel"), ({}, "/v1/jobs")):
            async with http.post(path, headers=headers) as answer:
                assert answer.status in {401, 403}
        assert short(lines()) == [
            ("job.cancel", "job_1", "default", key_id, "refused", 403, "forbidden"),
            ("job.submit", None, None, None, "refused", 401, "unauthorized"),
        ]


async def test_results_dry_runs_and_the_dashboard_are_told_too(settings, lines):
    job_id = await publish(settings, {"k": "string"}, [("a",)], name="audited")
    queued = await insert_job(settings)
    failed = await insert_job(settings)
    await finish_job(settings, failed, state="failed", phase="planning", error={"code": "x"})
    async with gateway(settings) as http:
        ask = {"Prefer": "wait=0"}
        async with http.post("/v1/plans", json=spec_for(settings), headers=ask) as answer:
            plan = (await answer.json())["id"]
        async with http.delete(f"/v1/plans/{plan}") as answer:
            assert answer.status == 204
        for path, form in (
            (f"/jobs/{queued}/cancel", {}),
            ("/results/audited/delete", {}),
            ("/new/preview", {}),
        ):
            async with http.post(path, data=FormData(form), allow_redirects=False) as answer:
                assert answer.status in {200, 303}, await answer.text()
        async with http.delete(f"/v1/jobs/{job_id}") as answer:
            assert answer.status in {204, 404}
        assert [line[:2] for line in short(lines())][:4] == [
            ("plan.submit", plan), ("plan.delete", plan), ("job.cancel", queued),
            ("result.delete", "audited"),
        ]  # fmt: skip
        assert {line[2:4] for line in short(lines())} == {("default", None)}


async def test_signing_in_and_out_is_told_and_a_wrong_key_too_without_the_key(settings, lines):
    settings = settings.model_copy(update={"api_key": SecretStr(ADMIN)})
    async with gateway(settings) as http:
        origin = {"Origin": str(http._base_url).rstrip("/")}

        async def post(path: str, **fields: str) -> tuple[int, str]:
            async with http.post(path, data=fields, headers=origin, allow_redirects=False) as answer:
                cookie = answer.cookies.get(COOKIE)
                return answer.status, "" if cookie is None else cookie.value

        assert await post("/sign-in", key="gm_wrong") == (401, "")
        _, session = await post("/sign-in", key=ADMIN)
        origin["Cookie"] = f"{COOKIE}={session}"
        assert (await post("/sign-out", csrf=token(session)))[0] == 303
        assert [line[:5] for line in short(lines())] == [
            ("session.begin", None, None, None, "refused"),
            ("session.begin", "default", "default", None, "done"),
            ("session.end", "default", "default", None, "done"),
        ]
        assert ADMIN not in json.dumps(lines())


async def test_the_audit_lines_of_an_operator_have_the_tenant_of_a_key_and_no_number_for_no_limit(settings):
    await added(settings, "laptop", "--tenant", "acme")
    _, said, _ = await command(settings, "keys", "list")
    commands = {
        ("keys", "revoke", said.split()[0]): None,
        ("tenants", "set", "acme", "uploads=none", "queued_jobs=5"): {"uploads": None, "queued_jobs": 5},
        ("tenants", "unset", "acme", "uploads"): {"uploads": "default"},
    }
    for words, limits in commands.items():
        code, _, told = await command(settings, *words, GRISTMILL_LOG_FORMAT="json")
        assert code == 0, told
        line = json.loads(told)
        assert (line["tenant"], line.get("limits")) == ("acme", limits)


async def test_an_operators_changes_are_told_on_standard_error(settings):
    _, _, told = await command(settings, "tenants", "set", "acme", "uploads=5", GRISTMILL_LOG_FORMAT="json")
    line = json.loads(told)

    assert line.pop("timestamp")
    assert line == {
        "event": "audit", "level": "info", "logger": "api_service.audit", "action": "tenant.set",
        "object": "acme", "tenant": "acme", "key": "operator", "outcome": "done", "status": None,
        "code": None, "client": None, "limits": {"uploads": 5},
    }  # fmt: skip
