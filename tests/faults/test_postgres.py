"""Postgres itself is killed, frozen, full or out of connections.

Requests are told at once, and no job is lost or wrong.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import pytest

from gristmill.launcher.servers import Server, start_postgres
from shared.db.migrate import upgrade_blocking
from tests.support.plain_job import ROWS, charges, check, large_spec, spec, table, violations
from tests.support.stack import Stack, eventually

MOMENTS = ("plan.before_commit", "commit.written", "merge.before_commit", "publish.swapped")


class Cluster:
    """A Postgres that keeps its data through a crash, as a real one does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = self._start()
        upgrade_blocking(self.server.url)

    def _start(self) -> Server:
        return start_postgres(self._folder / "postgres", log=self._folder / "postgres.log", durable=True)

    @property
    def processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.server.child.process.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def kill_and_restart(self) -> None:
        """Send SIGKILL to the postmaster; its backends end when they notice."""
        processes = self.processes
        self.server.child.process.kill()
        self.server.child.process.wait()
        psutil.wait_procs(processes, timeout=30)
        url, self.server = self.server.url, self._start()
        assert self.server.url == url

    @contextlib.contextmanager
    def frozen(self):
        processes = self.processes
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def backends(self, name: str) -> list[int]:
        with psycopg.connect(self.server.url) as connection:
            return [
                pid
                for (pid,) in connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name]
                )
            ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.server.child.stop()


@pytest.fixture(scope="module")
def stack(cluster, redis_server, tmp_path_factory):
    """A gateway; most tests share a worker too."""
    stack = Stack(
        cluster.server.url, redis_server.rpartition("/")[0] + "/3", tmp_path_factory.mktemp("services")
    )
    stack.gateway()
    yield stack
    stack.close()


@pytest.fixture(scope="module")
def worker(stack):
    worker = stack.worker()
    yield worker
    worker.stop()


@contextlib.contextmanager
def failing(stack: Stack, table: str, event: str, when: str, sqlstate: str, times: int):
    """The next *times* rows that meet *event* on *table* raise *sqlstate*.

    A sequence counts them, since no rollback takes it back.
    """
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA fault")
        connection.execute("CREATE SEQUENCE fault.met")
        connection.execute(
            f"CREATE FUNCTION fault.meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF nextval('fault.met') <= {times} THEN"
            f" RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}'; END IF; RETURN NEW; END $$"
        )
        connection.execute(
            f"CREATE TRIGGER fault BEFORE {event} ON {table}"
            f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION fault.meet()"
        )
        try:
            yield
            [(met,)] = connection.execute("SELECT last_value FROM fault.met").fetchall()
            assert met > times, "the fault was met as often as it was asked for, and then no more"
        finally:
            connection.execute("DROP SCHEMA fault CASCADE")


# fault matrix: 28
def test_a_killed_postmaster_costs_time_only_whatever_was_going_on(stack, cluster):
    worker = stack.worker(GRISTMILL_FAULT_POINTS=",".join(f"{name}:1:stop" for name in MOMENTS))
    job_id = stack.submit(large_spec(stack))["id"]
    for number, name in enumerate(MOMENTS, 1):
        eventually(lambda: worker.log.read_bytes().count(b'"fault_point"') == number, f"the moment {name}")  # noqa: B023  # called at once
        cluster.kill_and_restart()
        worker.popen.send_signal(signal.SIGCONT)

    check(stack, job_id, "n")
    assert charges(stack, job_id) == 0
    assert worker.stop() == 0


# fault matrix: 32
def test_a_frozen_postgres_hangs_nobody(stack, cluster, worker):
    job_id = stack.submit(spec(stack, chunk_bytes=2_000))["id"]
    with cluster.frozen():
        began = time.monotonic()
        answer = stack.http.get(f"/v1/jobs/{job_id}")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert "Retry-After" in answer.headers
        assert time.monotonic() - began < 15
        assert stack.http.get("/livez").status_code == 200
        eventually(
            lambda: b"does not answer the heartbeat" in worker.log.read_bytes(), "the worker's discovery"
        )

    check(stack, job_id)


# fault matrix: 33
@pytest.mark.parametrize(
    ("table", "event", "when"),
    [
        ("gristmill.partials", "INSERT", "true"),
        ("gristmill.versions", "INSERT", "true"),
        ("gristmill.units", "INSERT", "NEW.kind = 'merge'"),
    ],
)
def test_a_full_disk_is_waited_for(stack, worker, table, event, when):
    with failing(stack, table, event, when, "53100", times=3):
        job_id = stack.submit(spec(stack))["id"]
        check(stack, job_id)

    assert charges(stack, job_id) == 0


# fault matrix: 36
@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
@pytest.mark.parametrize(
    ("table", "when"),
    [("gristmill.units", "NEW.state = 'done'"), ("gristmill.jobs", "NEW.state = 'succeeded'")],
)
def test_deadlocks_and_serialization_failures_are_tried_again(stack, worker, table, when, sqlstate):
    with failing(stack, table, "UPDATE", when, sqlstate, times=3):
        job_id = stack.submit(spec(stack))["id"]
        check(stack, job_id)

    assert charges(stack, job_id) == 0


# fault matrix: 35
def test_without_a_free_connection_requests_hear_503_and_work_goes_on_afterwards(stack, worker):
    job_id = stack.submit(spec(stack, chunk_bytes=1_000))["id"]
    end_services = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gristmill-%'"
    )
    with contextlib.ExitStack() as taken:
        connections = [taken.enter_context(psycopg.connect(stack.database_url, autocommit=True))]

        def refused(method: str, **body: Any) -> httpx2.Response | None:
            """Take the free connections; those that the services still have are taken from them."""
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    connections.append(
                        taken.enter_context(psycopg.connect(stack.database_url, autocommit=True))
                    )
            connections[0].execute(end_services)
            answer = stack.http.request(method, "/v1/jobs", **body)
            return answer if answer.status_code == 503 else None

        for answer in (
            eventually(lambda: refused("GET"), "the refusal of a look"),
            eventually(lambda: refused("POST", json=spec(stack)), "the refusal of a job"),
        ):
            assert (answer.json()["code"], "Retry-After" in answer.headers) == ("database_unavailable", True)

    check(stack, job_id)
    assert charges(stack, job_id) == 0


def held_or_gone(pid: int) -> bool:
    """Whether strace holds the backend, or its first failing call has ended it already."""
    try:
        return "TracerPid:\t0" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextlib.contextmanager
def failing_calls(cluster: Cluster, calls: str, error: str, said: Path):
    """Make system calls of the worker's backends fail, each of them always; *said* tells which did."""
    pids = eventually(lambda: cluster.backends("gristmill-worker"), "the worker's connections")
    tracees = [word for pid in pids for word in ("-p", str(pid))]
    tracer = subprocess.Popen(["strace", "-qq", "-o", said, "-e", f"inject={calls}:error={error}", *tracees])
    try:
        eventually(lambda: all(held_or_gone(pid) for pid in pids), "strace's hold on them")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None or os.geteuid() != 0,
    reason="needs root and strace (apt-get install strace): system calls must fail",
)


# fault matrix: 33
@needs_strace
def test_a_table_that_cannot_grow_is_waited_for(stack, cluster, worker, tmp_path):
    many_groups = spec(stack, group_by=["n"], aggregates=[{"fn": "sum", "column": "n"}])
    check(stack, stack.submit(spec(stack))["id"])  # now the worker has the connections that it needs
    said = tmp_path / "strace.txt"
    with failing_calls(cluster, "fallocate,pwritev", "ENOSPC", said):
        job_id = stack.submit(many_groups)["id"]
        eventually(lambda: "(INJECTED)" in said.read_text(), "the full disk")
        assert not stack.job(job_id)["done"]

    job = stack.wait(job_id)
    assert (job["state"], job["result"]["rows"]) == ("succeeded", ROWS)
    assert {(row["n"], row["sum_n"]) for row in stack.rows(job_id)} == {(n, n) for n in table()["n"]}
    assert (charges(stack, job_id), violations(stack)) == (0, [])


# fault matrix: 34
@needs_strace
def test_a_failing_fsync_ends_postgres_and_loses_nothing_that_it_confirmed(stack, cluster, worker, tmp_path):
    job_id = stack.submit(spec(stack, chunk_bytes=1_000))["id"]
    eventually(lambda: stack.job(job_id)["progress"]["chunks"]["done"] >= 3, "some chunks")
    log = cluster.server.child.command.log
    with failing_calls(cluster, "fsync,fdatasync", "EIO", tmp_path / "strace.txt"):
        eventually(lambda: "PANIC" in log.read_text(errors="replace"), "the failing fsync")

    eventually(lambda: stack.http.get("/readyz").status_code == 200, "Postgres' recovery")
    check(stack, job_id)
    assert charges(stack, job_id) == 0
