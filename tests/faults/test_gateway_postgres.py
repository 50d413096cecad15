"""Postgres killed, frozen or cut off under the gateway.

It answers 503 in time, never 202 for a job that is not committed, and recovers at once.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import aiohttp
import httpx2
import psutil
import psycopg
import pytest

from api_service.routes import OPERATIONS
from gristmill.launcher.servers import start_postgres
from shared.db.migrate import upgrade_blocking
from tests.support.chaos_proxy import ChaosProxy
from tests.support.stack import Process, Stack, eventually, running

ANSWER_SECONDS = 7
"""The gateway waits 4 s for Postgres; the rest is for a busy machine."""
RECOVERY_SECONDS = 5
KEY = {"Idempotency-Key": "order-7"}
JOB = "job_" + "0" * 26


def spec(stack: Stack) -> dict:
    return {
        "source": {"uris": [f"file://{stack.data}/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }


def requests(stack: Stack) -> Iterator[tuple[str, str, dict]]:
    """One for every operation that needs Postgres, but for those of tus, which has headers of its own."""
    bodies = {
        "/v1/jobs": spec(stack),
        "/v1/plans": spec(stack),
        "/v1/keys": {"scopes": ["admin"]},
        "/v1/jobs/cancel": {"filter": {}, "expected": 1},
        "/v1/jobs/retry": {"filter": {}, "expected": 1},
    }
    for each in OPERATIONS:
        path = re.sub(r"\{id:.*?\}\}", JOB, re.sub(r"\{name:[^/]*\}", "sales", each.path))
        path = re.sub(r"\{version:.*?\}\}?", "1", path)
        if (each.scope is None and path != "/readyz") or path.startswith("/v1/tus"):
            continue
        if each.method == "PATCH":
            yield "PATCH", path, {"json": {"priority": 1}}
        elif each.method == "POST":
            yield "POST", path, {"json": bodies[path]} if path in bodies else {"data": b"k\n1\n"}
        else:
            yield each.method, path, {}


def ask_everything(stack: Stack) -> None:
    asyncio.run(_ask_everything(stack))


async def _ask_everything(stack: Stack) -> None:
    """Every route, asked all at once, answers 503 with Retry-After in time."""
    async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{stack.port}") as http:

        async def ask(method: str, path: str, body: dict) -> tuple[str, int, str | None]:
            async with asyncio.timeout(ANSWER_SECONDS), http.request(method, path, **body) as response:
                assert (await response.json())["code"] == "database_unavailable", (method, path)
                return path, response.status, response.headers.get("Retry-After")

        answers = await asyncio.gather(*(ask(*request) for request in requests(stack)))
        assert len(answers) > 30
        assert [answer for answer in answers if answer[1:] != (503, "1")] == []
        async with asyncio.timeout(1), http.get("/livez") as response:
            assert response.status == 200


def recovers(stack: Stack) -> None:
    """The gateway is ready, and takes a job."""
    eventually(lambda: stack.http.get("/readyz").status_code == 200, "readiness", RECOVERY_SECONDS)
    assert stack.submit(spec(stack))["state"] == "queued"


@contextmanager
def frozen(server) -> Iterator[None]:
    postmaster = psutil.Process(server.child.process.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextmanager
def postgres_with_gateway(tmp_path, redis_url):
    server = start_postgres(tmp_path / "postgres", log=tmp_path / "postgres.log", durable=True)
    try:
        upgrade_blocking(server.url)
        with running(server.url, redis_url, tmp_path, workers=0) as stack:
            yield server, stack
    finally:
        server.child.stop()


# fault matrix: 32
def test_a_frozen_postgres_is_a_503_on_every_route_and_the_gateway_is_well_when_it_thaws(tmp_path, redis_url):
    with postgres_with_gateway(tmp_path, redis_url) as (server, stack), ThreadPoolExecutor(1) as thread:
        recovers(stack)
        with psycopg.connect(server.url) as blocker:
            blocker.execute("LOCK TABLE gristmill.units IN ACCESS EXCLUSIVE MODE")
            half_way = thread.submit(stack.http.post, "/v1/jobs", json=spec(stack))
            eventually(lambda: blocked(blocker), "a submit in the middle of its transaction")
            with frozen(server):
                assert half_way.result(ANSWER_SECONDS).status_code == 503
                ask_everything(stack)
        recovers(stack)
        assert stack.sql("SELECT count(*) FROM gristmill.jobs") == [(2,)]


def blocked(connection: psycopg.Connection) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    ).fetchone()
    return found == (1,)


# fault matrix: 28
def test_a_killed_postgres_is_a_503_on_every_route_and_the_gateway_is_well_when_it_is_back(
    tmp_path, redis_url
):
    with postgres_with_gateway(tmp_path, redis_url) as (server, stack):
        recovers(stack)
        server.child.process.kill()
        server.child.process.wait()
        ask_everything(stack)
        again = start_postgres(tmp_path / "postgres", log=tmp_path / "postgres.log", durable=True)
        try:
            assert again.url == server.url
            recovers(stack)
            assert stack.sql("SELECT count(*) FROM gristmill.jobs") == [(2,)]
            stack.close()
        finally:
            again.child.stop()


@contextmanager
def proxied(database_url, redis_url, tmp_path):
    with ChaosProxy(database_url) as proxy, running(proxy.url, redis_url, tmp_path, workers=0) as stack:
        stack.database_url = database_url
        yield proxy, stack


# fault matrix: 1, 2
@pytest.mark.parametrize("committed", [False, True])
def test_a_lost_commit_is_no_202_and_the_same_key_makes_one_job(database_url, redis_url, tmp_path, committed):
    with proxied(database_url, redis_url, tmp_path) as (proxy, stack):
        if committed:
            proxy.lose_commit_replies("gristmill.jobs")
        else:
            proxy.cut_before("COMMIT")
        answer = stack.http.post("/v1/jobs", json=spec(stack), headers=KEY)
        assert (answer.status_code, answer.json()["code"], proxy.faults) == (503, "database_unavailable", 1)
        assert stack.sql("SELECT count(*) FROM gristmill.jobs") == [(int(committed),)]
        again = stack.http.post("/v1/jobs", json=spec(stack), headers=KEY)

    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (202, committed)
    assert stack.sql("SELECT id FROM gristmill.jobs") == [(again.json()["id"],)]
    assert stack.sql("SELECT count(*) FROM gristmill.units") == [(1,)]


def armed(stack: Stack, fault: str) -> Process:
    process = stack.start("api_service", "serve", GRISTMILL_FAULT_POINTS=fault)
    eventually(lambda: b"gateway.ready" in process.log.read_bytes(), "the gateway's readiness")
    return process


# fault matrix: 1, 2
@pytest.mark.parametrize(("point", "jobs"), [("submit.before_commit", 0), ("submit.after_commit", 1)])
def test_a_gateway_killed_around_the_commit_leaves_one_job_for_the_key(
    database_url, redis_url, tmp_path, point, jobs
):
    stack = Stack(database_url, redis_url, tmp_path)
    try:
        victim = armed(stack, f"{point}:1:kill")
        with pytest.raises(httpx2.TransportError):
            stack.http.post("/v1/jobs", json=spec(stack), headers=KEY)
        assert victim.popen.wait(10) == -signal.SIGKILL
        eventually(lambda: no_client(stack), "the end of its connections")
        assert stack.sql("SELECT count(*) FROM gristmill.jobs") == [(jobs,)]
        stack.gateway()
        answers = [stack.http.post("/v1/jobs", json=spec(stack), headers=KEY) for _ in range(2)]
    finally:
        stack.close()

    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [
        "true" if jobs else None,
        "true",
    ]
    assert stack.sql("SELECT id FROM gristmill.jobs") == [(answer.json()["id"],) for answer in answers[:1]]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def no_client(stack: Stack) -> bool:
    return stack.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ) == [(0,)]


def test_a_committed_job_is_answered_with_202_though_postgres_is_gone_by_then(
    database_url, redis_url, tmp_path
):
    with ChaosProxy(database_url) as proxy, ThreadPoolExecutor(1) as thread:
        stack = Stack(proxy.url, redis_url, tmp_path)
        try:
            gateway = armed(stack, "submit.after_commit:1:stop")
            answer = thread.submit(
                stack.http.post, "/v1/jobs", json=spec(stack), headers={"Prefer": "wait=20"}
            )
            eventually(
                lambda: psutil.Process(gateway.popen.pid).status() == psutil.STATUS_STOPPED,
                "the stop after the commit",
            )
            proxy.refuse()
            gateway.popen.send_signal(signal.SIGCONT)
            assert answer.result(ANSWER_SECONDS).status_code == 202
            proxy.heal()
            assert stack.job(answer.result().json()["id"])["state"] == "queued"
        finally:
            stack.close()
