"""Large specs are checked in their own process: no other request waits for one, and each check has an end."""

import asyncio
import json
import os
import re
import signal

import psutil
import pytest

from api_service.services import spec_check
from shared.settings import Settings
from tests.support.gateway import database, gateway, problem_of, spec_for

JSON = {"Content-Type": "application/json"}


def large(settings, **changes) -> bytes:
    """A valid spec above the size that is checked at once."""
    types = {f"column_{i}": "decimal(18,2)" for i in range(3000)}
    source = {"uris": [settings.sources[0] + "a.csv"], "types": types} | changes.pop("source", {})
    spec = spec_for(settings, source=source, **changes)
    body = json.dumps(spec).encode()
    assert len(body) > spec_check.AT_ONCE_BYTES
    return body


def checkers() -> list[psutil.Process]:
    """The processes that run; a child of another test that has ended may wait to be reaped."""
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in running if "api_service.services.spec_check_process" in child.cmdline()]


async def test_a_large_spec_is_checked_as_a_small_one_is(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            job = await response.json()
            assert response.status == 202
        assert (len(job["spec"]["source"]["types"]), job["spec"]["limits"]["max_groups"]) == (3000, 5_000_000)
        for changes, code, pointer in (
            ({"gruop_by": ["a"]}, "invalid_spec", "#/gruop_by"),
            ({"source": {"compression": "snappy"}}, "not_supported", "#/source/compression"),
            ({"limits": {"max_chunks": 10**12}}, "invalid_spec", "#/limits/max_chunks"),
        ):
            async with http.post("/v1/jobs", data=large(settings, **changes), headers=JSON) as response:
                problem = await problem_of(response)
            assert (problem["status"], problem["code"], problem["errors"][0]["pointer"]) == (
                422,
                code,
                pointer,
            )
        async with http.post("/v1/jobs", data=b"[" * 100_000, headers=JSON) as response:
            assert (response.status, (await problem_of(response))["code"]) == (400, "malformed_json")
        [checker] = checkers()
        assert not [
            name for name in checker.environ() if name.startswith("GRISTMILL_") or name.endswith("_URL")
        ]
    assert checkers() == []


async def test_livez_is_answered_while_a_large_spec_is_being_checked(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            assert response.status == 202
        [checker] = checkers()
        checker.suspend()  # a check without end
        sent = asyncio.create_task(http.post("/v1/jobs", data=large(settings), headers=JSON))
        try:
            for _ in range(20):
                async with http.get("/livez") as response:
                    assert response.status == 200
            async with http.post("/v1/jobs", json=spec_for(settings)) as response:
                assert response.status == 202, "a small one passes it"
            assert not sent.done()
        finally:
            checker.resume()
        async with await sent as response:
            assert response.status == 202


async def test_a_check_that_does_not_end_is_ended_and_the_next_one_has_a_new_process(settings, monkeypatch):
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            assert response.status == 202
        [stuck] = checkers()
        stuck.suspend()
        monkeypatch.setattr(spec_check, "CHECK_SECONDS", 0.2)
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            problem = await problem_of(response)
        assert (problem["status"], problem["code"], response.headers["Retry-After"]) == (
            503,
            "spec_check_busy",
            "1",
        )
        assert not stuck.is_running()
        monkeypatch.undo()
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            assert response.status == 202
        [another] = checkers()
        os.kill(another.pid, signal.SIGKILL)
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            assert response.status in {202, 503}
        async with http.post("/v1/jobs", data=large(settings), headers=JSON) as response:
            assert response.status == 202
    async with database(settings) as connection:
        assert await connection.fetchval("SELECT count(*) FROM gristmill.jobs") in {3, 4}


async def test_one_tenants_large_specs_leave_a_process_for_another(settings, monkeypatch):
    checker = spec_check.SpecChecker(settings)
    monkeypatch.setattr(spec_check, "CHECK_SECONDS", 60)
    await checker.check("one", large(settings))
    [first] = checkers()
    first.suspend()
    slow = asyncio.create_task(checker.check("one", large(settings)))
    while checker._idle:
        await asyncio.sleep(0)
    try:
        assert (await checker.check("two", large(settings))).refusal is None
        assert not slow.done()
    finally:
        first.resume()
    assert (await slow).refusal is None
    await checker.close()
    assert checkers() == []


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        (
            {"limits": {"max_chunks": 10**12}},
            "#/limits/max_chunks",
            "1,000,000,000,000 is more than 100,000, .*GRISTMILL_MAX_CHUNKS",
        ),
        ({"limits": {"max_groups": 10**9}}, "#/limits/max_groups", "GRISTMILL_MAX_GROUPS"),
        ({"limits": {"max_bytes": 2**60}}, "#/limits/max_bytes", "GRISTMILL_MAX_BYTES"),
        ({"limits": {"max_state_bytes": 2**60}}, "#/limits/max_state_bytes", "GRISTMILL_MAX_STATE_BYTES"),
        (
            {"options": {"chunk_bytes": 1}},
            "#/options/chunk_bytes",
            "1 is less than 65,536, .*GRISTMILL_MIN_CHUNK_BYTES",
        ),
    ],
)
async def test_a_limit_above_the_servers_own_is_refused_with_both(settings, changes, pointer, words):
    async with (
        gateway(settings) as http,
        http.post("/v1/jobs", json=spec_for(settings, **changes)) as response,
    ):
        problem = await problem_of(response)

    [error] = problem["errors"]
    assert (problem["status"], problem["code"], error["pointer"]) == (422, "invalid_spec", pointer)
    assert re.search(words, error["detail"])


async def test_a_key_means_its_job_though_this_server_would_not_take_its_spec_any_more(settings):
    spec, key = spec_for(settings, options={"chunk_bytes": 100}), {"Idempotency-Key": "order-7"}
    lower = settings.model_copy(update={"min_chunk_bytes": 1})
    assert isinstance(lower, Settings)
    async with gateway(lower) as http, http.post("/v1/jobs", json=spec, headers=key) as response:
        job = await response.json()
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=spec) as response:
            assert response.status == 422
        async with http.post("/v1/jobs", json=spec, headers=key) as again:
            assert (again.status, again.headers["Idempotency-Replayed"], (await again.json())["id"]) == (
                202,
                "true",
                job["id"],
            )
