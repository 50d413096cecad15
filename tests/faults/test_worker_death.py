"""Workers are killed, Redis and Postgres go away: every job still ends once, with the right answer."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from gristmill.launcher.servers import start_postgres, start_valkey
from shared.db.migrate import upgrade_blocking
from tests.support.databases import own_database
from tests.support.stack import Stack, alive, eventually, running

ROWS = 600_000


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Path:
    """600,000 rows, 1,000 groups."""
    path = tmp_path_factory.mktemp("numbers") / "numbers.csv"
    pd.DataFrame({"k": [f"id{i % 1000:04d}" for i in range(ROWS)], "v": range(ROWS)}).to_csv(
        path, index=False
    )
    return path


@pytest.fixture(scope="module")
def expected(numbers):
    return pd.read_csv(numbers).groupby("k")["v"].sum().to_dict()


@pytest.fixture(scope="module")
def services(postgres, redis_server, tmp_path_factory):
    url = redis_server.rpartition("/")[0] + "/4"
    with (
        own_database(postgres, "deaths") as dsn,
        running(dsn, url, tmp_path_factory.mktemp("deaths"), workers=0) as stack,
    ):
        yield stack


@pytest.fixture
def stack(services):
    """A gateway; each test starts the workers that it needs."""
    yield services
    services.without_workers()


def submit(stack: Stack, numbers: Path) -> str:
    """A job of about 430 chunks, so that it is under way for a while."""
    uri = stack.write("numbers.csv", numbers.read_bytes())
    chunks = {"chunk_bytes": 20_000}
    return stack.submit(
        {
            "source": {"uris": [uri], "format": "csv"},
            "group_by": ["k"],
            "aggregates": [{"fn": "sum", "column": "v"}],
            "options": chunks,
        }
    )["id"]


def check(stack: Stack, job_id: str, expected: dict[str, int]) -> None:
    job = stack.wait(job_id)
    assert job["state"] == "succeeded", job["error"]
    assert {row["k"]: row["sum_v"] for row in stack.rows(job_id)} == expected
    assert job["progress"]["rows"]["read"] == ROWS
    states = dict(
        stack.sql("SELECT state, count(*) FROM gristmill.units WHERE job_id = %s GROUP BY state", job_id)
    )
    assert set(states) == {"done"}


def under_way(stack: Stack, job_id: str) -> bool:
    return stack.job(job_id)["progress"]["chunks"]["done"] >= 3


# fault matrix: 17, 18, 20
def test_a_killed_workers_job_is_finished_by_another_and_no_child_is_left(stack, numbers, expected):
    first = stack.worker()
    job_id = submit(stack, numbers)
    eventually(lambda: under_way(stack, job_id), "some chunks")
    children = first.children
    assert len(children) == 2
    first.kill()
    assert not stack.job(job_id)["done"]
    stack.worker()

    check(stack, job_id, expected)
    eventually(lambda: not any(alive(pid) for pid in children), "the end of the children")


# fault matrix: 23
def test_a_killed_child_is_replaced_and_its_unit_runs_again(stack, numbers, expected):
    worker = stack.worker()
    job_id = submit(stack, numbers)
    eventually(lambda: under_way(stack, job_id), "some chunks")
    for pid in worker.children:
        os.kill(pid, signal.SIGKILL)

    check(stack, job_id, expected)
    assert stack.sql(
        "SELECT sum(crashes) > 0 AND sum(deaths) = 0 FROM gristmill.units WHERE job_id = %s", job_id
    ) == [(True,)]
    assert worker.popen.poll() is None


# fault matrix: 45
def test_several_workers_share_a_job(stack, numbers, expected):
    for _ in range(3):
        stack.worker(GRISTMILL_SLOTS="1")
    job_id = submit(stack, numbers)

    check(stack, job_id, expected)
    assert stack.sql(
        "SELECT count(DISTINCT worker) FROM gristmill.units WHERE job_id = %s AND kind = 'chunk'", job_id
    ) == [(3,)]


# fault matrix: 42
def test_sigterm_drains_without_charging_and_leaves_no_process(stack, numbers, expected):
    worker = stack.worker()
    job_id = submit(stack, numbers)
    eventually(lambda: under_way(stack, job_id), "some chunks")
    children = worker.children
    assert worker.stop() == 0
    assert not any(alive(pid) for pid in children)
    assert stack.sql("SELECT count(*) FROM gristmill.units WHERE state = 'leased'") == [(0,)]
    stack.worker()

    check(stack, job_id, expected)
    assert stack.sql(
        "SELECT sum(deaths + crashes + errors) FROM gristmill.units WHERE job_id = %s", job_id
    ) == [(0,)]


# fault matrix: 21
def test_a_frozen_workers_late_commit_counts_for_nothing(stack, numbers, expected):
    zombie = stack.worker()
    job_id = submit(stack, numbers)
    eventually(lambda: under_way(stack, job_id), "some chunks")
    zombie.popen.send_signal(signal.SIGSTOP)
    stack.worker()
    check(stack, job_id, expected)
    zombie.popen.send_signal(signal.SIGCONT)

    eventually(
        lambda: (
            stack.sql("SELECT count(*) FROM gristmill.workers WHERE seen_at > now() - interval '1 s'")
            == [(2,)]
        ),
        "the zombie's return",
    )
    check(stack, job_id, expected)


# fault matrix: 40
def test_cancel_stops_a_running_job(stack, numbers):
    stack.worker()
    job_id = submit(stack, numbers)
    eventually(lambda: under_way(stack, job_id), "some chunks")
    answer = stack.http.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.status_code == 202

    job = stack.wait(job_id)
    assert job["state"] == "cancelled"
    assert stack.sql("SELECT count(*) FROM gristmill.units WHERE state IN ('pending', 'leased')") == [(0,)]
    assert stack.sql("SELECT to_regclass('gristmill_results.' || %s)", job_id) == [(None,)]


# fault matrix: 48
def test_a_changed_file_fails_the_job_rather_than_mixing_two(stack, numbers):
    job_id = submit(stack, numbers)
    worker = stack.worker()
    eventually(lambda: under_way(stack, job_id), "some chunks")
    worker.popen.send_signal(signal.SIGSTOP)
    stack.write("numbers.csv", numbers.read_bytes() + b"id0000,1\n")
    worker.popen.send_signal(signal.SIGCONT)

    job = stack.wait(job_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "source_changed")


# fault matrix: 6, 7
def test_flushed_redis_loses_nothing(stack, numbers, expected):
    import redis

    job_id = submit(stack, numbers)
    with redis.Redis.from_url(stack.env["GRISTMILL_REDIS_URL"]) as client:
        client.flushdb()
        stack.worker()
        eventually(lambda: under_way(stack, job_id), "some chunks")
        client.flushdb()

    check(stack, job_id, expected)


# fault matrix: 8, 9
def test_redis_away_still_takes_jobs_and_runs_them_when_it_is_back(database_url, tmp_path, numbers, expected):
    folder = tmp_path / "valkey"
    server = start_valkey(folder, log=tmp_path / "valkey.log", durable=True)
    with running(database_url, server.url, tmp_path) as stack:
        server.child.stop()
        job_id = submit(stack, numbers)
        assert stack.http.get("/readyz").json()["status"] == "degraded"
        again = restarted(lambda: start_valkey(folder, log=tmp_path / "valkey.log", durable=True), server.url)
        try:
            check(stack, job_id, expected)
        finally:
            again.child.stop()


# fault matrix: 28
def test_postgres_away_is_a_503_and_the_job_goes_on_when_it_is_back(redis_url, tmp_path, numbers, expected):
    folder = tmp_path / "postgres"
    server = start_postgres(folder, log=tmp_path / "postgres.log", durable=True)
    upgrade_blocking(server.url)
    with running(server.url, redis_url, tmp_path) as stack:
        job_id = submit(stack, numbers)
        eventually(lambda: under_way(stack, job_id), "some chunks")
        done_before = stack.job(job_id)["progress"]["chunks"]["done"]
        server.child.process.kill()
        server.child.process.wait()
        answer = eventually(lambda: (a := stack.http.get("/v1/jobs")).status_code == 503 and a, "the 503")
        assert (answer.json()["code"], "Retry-After" in answer.headers) == ("database_unavailable", True)
        again = restarted(
            lambda: start_postgres(folder, log=tmp_path / "postgres.log", durable=True), server.url
        )
        try:
            check(stack, job_id, expected)
            assert stack.sql(
                "SELECT sum(deaths + crashes + errors) FROM gristmill.units WHERE job_id = %s", job_id
            ) == [(0,)]
            assert done_before >= 3
            stack.close()
        finally:
            again.child.stop()


def restarted(start, url):
    """The same server again, on the same port, with the same password."""
    server = start()
    assert server.url.rpartition("@")[2] == url.rpartition("@")[2]
    return server
