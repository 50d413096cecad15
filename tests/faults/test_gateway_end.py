"""How the gateway ends: it finishes requests within a bound; a second signal ends it at once.

Restarts lose no job that was accepted.
"""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest

from api_service import server
from tests.support.gateway import gateway
from tests.support.stack import Stack, eventually

RESTARTS = int(os.environ.get("GRISTMILL_GATEWAY_RESTARTS", "2"))
ENOUGH_SECONDS = 3 * server.DRAIN_SECONDS
"""A gateway drains for DRAIN_SECONDS at most, and then closes its pools, on a machine that may be busy."""


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    stack = Stack(database_url, redis_url, tmp_path)
    yield stack
    stack.close()


def spec(stack: Stack) -> dict:
    return {
        "source": {"uris": [f"file://{stack.data}/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }


@contextlib.contextmanager
def half_a_submit(stack: Stack):
    """A submit that cannot commit until the block ends; yields its future answer."""
    with ThreadPoolExecutor(1) as thread, psycopg.connect(stack.database_url) as blocker:
        blocker.execute("LOCK TABLE gristmill.units IN ACCESS EXCLUSIVE MODE")
        answer = thread.submit(stack.http.post, "/v1/jobs", json=spec(stack))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        eventually(lambda: stack.sql(waiting) == [(1,)], "a submit in the middle of its transaction")
        yield answer
        blocker.rollback()


def refuses(stack: Stack) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", stack.port)) != 0


def test_sigterm_finishes_what_is_under_way_and_takes_nothing_new(stack):
    process = stack.gateway()
    with half_a_submit(stack) as answer:
        process.popen.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(stack), "the refusal of new connections")
        assert process.popen.poll() is None
    assert answer.result(10).status_code == 202
    assert process.popen.wait(10) == 0
    assert stack.sql("SELECT id FROM gristmill.jobs") == [(answer.result().json()["id"],)]


def test_a_second_sigterm_ends_it_at_once(stack):
    process = stack.gateway()
    with half_a_submit(stack) as answer:
        process.popen.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(stack), "the refusal of new connections")
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(2) == -signal.SIGTERM
        with pytest.raises(httpx2.TransportError):
            answer.result(10)


async def test_an_upload_that_never_ends_does_not_hold_up_the_end(settings, monkeypatch):
    monkeypatch.setattr(server, "DRAIN_SECONDS", 0.5)

    async def endless():
        yield b"k\n"
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with gateway(settings) as http:
            sending = asyncio.create_task(http.post("/v1/uploads", data=endless()).__aenter__())
            async with asyncio.timeout(5):
                while not list((settings.storage / "uploads").glob("*/.*.part")):
                    await asyncio.sleep(0.01)
        with pytest.raises(Exception, match=r"disconnected|closed|reset|Reset"):
            await sending
    assert list((settings.storage / "uploads").glob("*/.*.part")) == []


def client(stack: Stack, no: int, ended: threading.Event) -> dict[str, str]:
    """Submit jobs until the end, each with a key of its own, again and again until it is accepted.

    Returns key -> id.
    """
    accepted: dict[str, str] = {}
    with httpx2.Client(base_url=stack.http.base_url, timeout=30) as http:
        while not ended.is_set():
            key = f"{no}-{len(accepted)}"
            while key not in accepted:
                try:
                    answer = http.post("/v1/jobs", json=spec(stack), headers={"Idempotency-Key": key})
                except httpx2.TransportError:
                    eventually(lambda: not refuses(stack), "the next gateway")
                else:
                    assert answer.status_code == 202, answer.text
                    accepted[key] = answer.json()["id"]
    return accepted


def count_jobs(stack: Stack) -> int:
    return stack.sql("SELECT count(*) FROM gristmill.jobs")[0][0]


# fault matrix: 42
def test_rolling_restarts_under_load_lose_no_job_that_was_accepted(stack):
    process = stack.gateway()
    ended = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        clients = [threads.submit(client, stack, no, ended) for no in range(2)]
        try:
            for _ in range(RESTARTS):
                enough = count_jobs(stack) + 20
                eventually(lambda: count_jobs(stack) > enough, "some load")  # noqa: B023  # called at once
                assert process.stop(ENOUGH_SECONDS) == 0, "it ends by itself, and in order"
                process = stack.gateway()
        finally:
            ended.set()
        accepted = {key: job_id for each in clients for key, job_id in each.result(30).items()}

    assert len(accepted) > 20 * RESTARTS
    assert dict(stack.sql("SELECT idempotency_key, id FROM gristmill.jobs")) == accepted
