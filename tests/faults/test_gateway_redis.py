"""Redis frozen, full or read-only: submits are answered as fast as ever.

Requests that wait for a job learn of its changes from Postgres.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import redis

from gristmill.launcher.servers import start_valkey
from tests.support.stack import eventually, running

QUICK_SECONDS = 1.0
"""A submit takes some milliseconds; one that waited for Redis would take 3 s and more."""


@pytest.fixture
def valkey(tmp_path):
    server = start_valkey(tmp_path / "valkey", log=tmp_path / "valkey.log", durable=False)
    yield server
    server.child.stop()


@pytest.fixture
def stack(database_url, valkey, tmp_path):
    with running(database_url, valkey.url, tmp_path, workers=0) as stack:
        yield stack


def submits(stack, times: int = 5) -> None:
    """Each is a 202 without delay."""
    spec = {
        "source": {"uris": [f"file://{stack.data}/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }
    for _ in range(times):
        started = time.monotonic()
        assert stack.http.post("/v1/jobs", json=spec).status_code == 202
        assert time.monotonic() - started < QUICK_SECONDS


def readiness(stack) -> str:
    return stack.http.get("/readyz").json()["status"]


# fault matrix: 10, 51
def test_a_frozen_redis_delays_no_submit_and_nobody_who_waits_for_a_job(stack, valkey):
    submits(stack)
    valkey.child.process.send_signal(signal.SIGSTOP)
    try:
        submits(stack)
        assert readiness(stack) == "degraded"
        submits(stack)
        hears_of_changes(stack)
    finally:
        valkey.child.process.send_signal(signal.SIGCONT)
    eventually(lambda: readiness(stack) == "ok", "the way back", 10)


def hears_of_changes(stack) -> None:
    """A request that waits is answered soon after each change of phase."""
    ((job_id,), *_) = stack.sql("SELECT id FROM gristmill.jobs")
    with ThreadPoolExecutor(1) as thread, httpx2.Client(base_url=stack.http.base_url, timeout=30) as http:
        for phase in ("scanning", "merging", "publishing"):
            waiting = thread.submit(http.get, f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"})
            assert not stack.job(job_id)["done"]
            stack.sql(
                "UPDATE gristmill.jobs SET phase = %s, revision = revision + 1 WHERE id = %s", phase, job_id
            )
            assert waiting.result(QUICK_SECONDS).json()["phase"] == phase


# fault matrix: 11
def test_a_redis_that_takes_no_writes_delays_no_submit(stack, valkey):
    for order in (("CONFIG", "SET", "maxmemory", "1"), ("REPLICAOF", "127.0.0.1", "1")):
        with redis.Redis.from_url(valkey.url) as client:
            client.execute_command(*order)
            with pytest.raises(redis.exceptions.ResponseError):
                client.set("a", "b")
        submits(stack)
