"""Kill, error, freeze and lost connections at every named point: each job ends once, with the same bits.

Every job still ends once, with the same bits.
`make test` runs every point with kill, and a sample of the rest that FAULT_SEED chooses. FAULT_SWEEP=full
runs all of it.
"""

import contextlib
import itertools
import os
import random
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest

from shared.fault_points import POINTS
from tests.support import plain_job, trap
from tests.support.faulty_service import Fault, FaultyService, children_of
from tests.support.stack import Stack, eventually
from worker_service.native import library

FULL = os.environ.get("FAULT_SWEEP") == "full"
SEED = int(os.environ.get("FAULT_SEED", "1"))
OTHER = ("raise", "cut_postgres", "cut_redis", "stop")
SAMPLES = {"raise": 6, "cut_postgres": 4, "cut_redis": 2, "stop": 1}
"""The number of points that meet an action in the short set."""

OF_GATEWAY = (
    "submit.before_commit",
    "submit.after_commit",
    "cancel.ending",
    "end.before_commit",
    "retry.before_commit",
)
FOLDS = library() is not None
"""Without the native library no states stay in a child."""
OF_WORKERS = [name for name in POINTS if name not in OF_GATEWAY and (FOLDS or not name.startswith("fold."))]
AT_ONCE = 4
PATIENCE = 1500.0 if FULL else 400.0


def widening(rows: int = 80_000) -> str:
    """Whole numbers but one, of which the plan takes no sample: all chunks are read again, widened.

    Every 20,000th record is bad.
    """
    lines = [f"key{i % 10},{10**9 + i}\n" for i in range(rows)]
    lines[rows // 16 * 9 - 5] = "key1,2000000000.5\n"
    lines[10_000::20_000] = ["key1,1,2\n"] * (rows // 20_000)
    return "k,v\n" + "".join(lines)


def kept_lines(stack: Stack, job_id: str) -> list[int]:
    """The lines of the bad rows in quarantine."""
    return [row["line"] for row in stack.http.get(f"/v1/jobs/{job_id}/quarantine").json()["items"]]


def parts_of(stack: Stack, job_id: str) -> int:
    """The number of chunks that had partials."""
    counted = (
        "SELECT count(*)::int FROM gristmill.units WHERE job_id = %s AND kind = 'chunk' AND rows_out > 0"
    )
    return stack.sql(counted, job_id)[0][0]


class Questions:
    """The specs of the jobs, and the digests of their answers in a run without faults."""

    def __init__(self, stack: Stack) -> None:
        plain = plain_job.spec(stack, output={"name": "plain"})
        wide = {
            "source": {"uris": [stack.write("wide.csv", widening())], "format": "csv"},
            "aggregates": [{"fn": "max", "column": "v"}],
            "options": {"chunk_bytes": 400_000, "on_bad_row": "quarantine"},
            "output": {},  # a published result would give its types to the next plan
        }
        large = plain_job.large_spec(stack, output={"name": "large"})
        self.specs = {
            "plain": plain,
            "wide": plain | wide,
            "large": large,
            "folded": plain_job.folded_spec(stack, output={"name": "folded"}),
            "trap": trap.spec(stack, output={"name": "trap"}),
        }
        jobs = {name: stack.run(spec) for name, spec in self.specs.items()}
        plain_job.check(stack, jobs["plain"]["id"])
        plain_job.check(stack, jobs["large"]["id"], key="n")
        trap.check(stack, jobs["trap"]["id"])
        assert (parts_of(stack, jobs["folded"]["id"]) < 5) == FOLDS, "chunks were committed together"
        assert {row["k"]: row["max_v"] for row in stack.rows(jobs["wide"]["id"])}["key1"] == 2000000000.5
        assert stack.sql("SELECT epoch FROM gristmill.jobs WHERE id = %s", jobs["wide"]["id"]) == [(2,)], (
            "it did widen"
        )
        self.kept = kept_lines(stack, jobs["wide"]["id"])
        assert self.kept == [10_002, 30_002, 50_002, 70_002]
        self.digests = {name: job["result"]["digest"] for name, job in jobs.items()}


class Client:
    """Asks the gateway until it answers, with one Idempotency-Key a job, as a careful client does."""

    def __init__(self, stack: Stack, questions: Questions) -> None:
        self._stack, self._questions = stack, questions
        self._turns = itertools.cycle(
            [
                ("plain", False),
                ("folded", False),
                ("wide", False),
                ("large", False),
                ("trap", False),
                ("plain", True),
            ]
        )
        self.names: dict[str, str] = {}

    def ask(self, name: str, cancel: bool) -> str:
        """A job that was asked for, or cancelled at once and asked for again."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        job = self._answered("POST", "/v1/jobs", json=self._questions.specs[name], headers=key)
        path = f"/v1/jobs/{job['id']}"
        self.names[job["id"]] = name
        if cancel:
            self._answered("POST", f"{path}/cancel")
            while not self._answered("GET", path, headers={"Prefer": "wait=5"})["done"]:
                pass
            self._answered("POST", f"{path}/retry")
        return job["id"]

    def next_turn(self) -> tuple[str, bool]:
        return next(self._turns)

    def _answered(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The first answer that is not an outage.

        409 says that an earlier try, whose answer was lost, did it.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(httpx2.TransportError):
                answer = self._stack.http.request(method, path, **more)
                if answer.status_code != 503:
                    assert answer.status_code in {200, 202, 409}, answer.text
                    return answer.json()
            time.sleep(0.2)
        raise AssertionError(f"{method} {path} was never answered")


def long_life(points: list[str], dice: random.Random) -> list[Fault]:
    """All that a process may meet and live on, each at another passing of its point."""
    asked: dict[str, list[str]] = {name: [] for name in points}
    for action in OTHER:
        count = len(points) if FULL else min(len(points), -(-SAMPLES[action] * len(points) // len(POINTS)))
        for name in dice.sample(points, count):
            asked[name].append(action)
    return [
        Fault(name, passing, action)
        for name, actions in asked.items()
        for passing, action in enumerate(actions, 1)
    ]


def lives(points: list[str], dice: random.Random) -> deque[list[Fault]]:
    killed = dice.sample(points, len(points))
    return deque([long_life(points, dice), *([Fault(name, 1, "kill")] for name in killed)])


def drive(client: Client, services: list[FaultyService], finished: Callable[[list[str]], set[str]]) -> None:
    """Ask and ask until every fault was met, then until every job has ended."""
    end = time.monotonic() + PATIENCE
    running: list[Future[str]] = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        while True:
            for service in services:
                service.tend()
            done = finished([one.result() for one in running if one.done()])
            running = [one for one in running if not one.done() or one.result() not in done]
            waiting = [fault for service in services for fault in service.faults_left]
            if not waiting and not running:
                return
            assert time.monotonic() < end, (waiting, [one.result() for one in running if one.done()])
            if waiting and len(running) < AT_ONCE:
                running.append(threads.submit(client.ask, *client.next_turn()))
            time.sleep(0.1)


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    stack = Stack(database_url, redis_url, tmp_path)
    yield stack
    stack.close()


# fault matrix: 1, 2, 3, 4, 5, 17, 19, 20, 21, 22, 29, 39, 59, 61
@pytest.mark.full
@pytest.mark.timeout(PATIENCE + 60)
def test_whatever_happens_at_a_named_point_every_job_ends_once_with_the_same_bits(stack):
    dice = random.Random(SEED)
    gateway, worker = stack.gateway(), stack.worker()
    questions = Questions(stack)
    gateway.stop()
    worker.stop()
    client, of_workers = Client(stack, questions), lives(OF_WORKERS, dice)
    services = [
        FaultyService(stack, ("api_service", "serve"), lives(list(OF_GATEWAY), dice)),
        FaultyService(stack, ("worker_service",), of_workers, GRISTMILL_SLOTS="1"),
        FaultyService(stack, ("worker_service",), of_workers, GRISTMILL_SLOTS="1"),
    ]
    with psycopg.connect(stack.database_url, autocommit=True) as connection:

        def finished(ids: list[str]) -> set[str]:
            rows = connection.execute(
                "SELECT id FROM gristmill.jobs WHERE id = ANY(%s) AND finished_at IS NOT NULL", [ids]
            )
            return {job_id for (job_id,) in rows}

        drive(client, services, finished)
    check(stack, client, questions)
    killed = {fault.point for service in services for fault in service.met if fault.action == "kill"}
    assert killed == {*OF_GATEWAY, *OF_WORKERS}
    pids = [pid for service in services for pid in service.pids]
    eventually(lambda: children_of(pids), "a child")
    stack.close()
    eventually(lambda: not children_of(pids), "the end of every child")


def check(stack: Stack, client: Client, questions: Questions) -> None:
    """Each key made one job, and each job ended once, with the right digest."""
    jobs = {
        job_id: (state, result)
        for job_id, state, result in stack.sql("SELECT id, state, result FROM gristmill.jobs")
    }
    assert len(jobs) == len(client.names) + len(questions.specs), "every Idempotency-Key made one job"
    ends = {job_id: (jobs[job_id][0], (jobs[job_id][1] or {}).get("digest")) for job_id in client.names}
    assert ends == {job_id: ("succeeded", questions.digests[name]) for job_id, name in client.names.items()}
    assert dict(
        stack.sql("SELECT job_id, count(*) FROM gristmill.versions GROUP BY job_id")
    ) == dict.fromkeys(jobs, 1)
    assert stack.sql("SELECT id FROM gristmill.units WHERE state <> 'done'") == []
    lines = stack.sql("SELECT array_agg(line ORDER BY chunk, no) FROM gristmill.quarantine GROUP BY job_id")
    wide = sum(name == "wide" for name in client.names.values())
    assert lines == [(questions.kept,)] * (wide + 1)
    assert plain_job.violations(stack) == []
