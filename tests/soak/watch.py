"""A thread that watches the cluster under faults: leases, recovery times, and sizes.

It speaks to Postgres directly, never through a proxy. It sees nothing while Postgres is away.
"""

import asyncio
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg
import redis

from shared.db.pool import connect
from shared.db.verify import violations
from shared.errors import DatabaseUnavailable
from tests.soak.cluster import Cluster
from tests.soak.life import Life
from tests.support.mark import marked

LOOK_SECONDS = 0.1
SAMPLE_SECONDS = 2.0
VERIFY_SECONDS = 10.0
LEASES = """SELECT u.id, u.job_id, u.kind, u.attempt, u.deaths, u.crashes, w.pid
FROM gristmill.units u JOIN gristmill.workers w ON w.id = u.worker WHERE u.state = 'leased'"""
AFTER = """SELECT id, attempt, extract(epoch FROM leased_at)::float8, state = 'done'
FROM gristmill.units WHERE id = ANY (%s)"""
SIZES = """SELECT c.relname, pg_total_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'gristmill' AND c.relkind = 'r'
UNION ALL SELECT 'result tables', coalesce(sum(pg_total_relation_size(c.oid)), 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'gristmill_results' AND c.relkind = 'r'"""

EFFORTS = """SELECT u.job_id, count(*), sum(greatest(u.attempt - 1, 0)), sum(u.deaths), sum(u.crashes),
    sum(u.errors), max(j.epoch) - 1
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id
WHERE j.finished_at > now() - interval '30 s' GROUP BY u.job_id"""

AGE_JOBS = "UPDATE gristmill.jobs SET finished_at = finished_at - interval '30 days' WHERE id = ANY (%s)"
AGE_VERSIONS = (
    "UPDATE gristmill.versions SET published_at = published_at - interval '30 days' WHERE job_id = ANY (%s)"
)


@dataclass(frozen=True)
class Held:
    """A lease, as last seen; `pid` is the worker's."""

    unit: int
    job: str
    kind: str
    attempt: int
    deaths: int
    crashes: int
    pid: int


@dataclass(frozen=True)
class Recovery:
    """A unit that lost its worker at *since* and must be leased once more."""

    what: str
    unit: int
    attempt: int
    since: float


class Watch(threading.Thread):
    """Also makes the jobs of *spent* look old, so that the pruner finds work to do."""

    def __init__(self, cluster: Cluster, spent: list[Life]) -> None:
        super().__init__(name="watch", daemon=True)
        self._cluster = cluster
        self._spent = spent
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[Recovery] = []
        self._suspects: set[int] = set()
        self.leases: list[Held] = []
        self.recovered: dict[str, list[float]] = defaultdict(list)
        self.samples: dict[str, list[float]] = defaultdict(list)
        self._verified = 0.0
        self.broken: dict[str, None] = {}
        """Invariants of the ledger that did not hold at some moment."""
        self.orphans: set[int] = set()
        self.efforts: dict[str, dict[str, int]] = {}
        """Of each job that has ended: its units, leases after the first, their causes, raised epochs."""

    def expect(self, what: str, units: Iterable[Held]) -> None:
        """Measure from now until each of these units is leased again."""
        now = time.time()
        with self._lock:
            self._waiting += [Recovery(what, held.unit, held.attempt, now) for held in units]

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        while not self._stopping.is_set():
            with suppress(psycopg.Error), closing(self._connected()) as connection:
                self._look_on(connection)
            self._stopping.wait(LOOK_SECONDS)

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._cluster.postgres.url, autocommit=True, connect_timeout=3, application_name="soak"
        )

    def _look_on(self, connection: psycopg.Connection[Any]) -> None:
        sampled = 0.0
        while not self._stopping.wait(LOOK_SECONDS):
            self.leases = [Held(*row) for row in connection.execute(LEASES)]
            self._follow(connection)
            if time.monotonic() > sampled + SAMPLE_SECONDS:
                self._sample(connection)
                self._verify()
                sampled = time.monotonic()

    def _verify(self) -> None:
        if time.monotonic() > self._verified + VERIFY_SECONDS:
            self._verified = time.monotonic()
            with suppress(DatabaseUnavailable):
                self.broken |= dict.fromkeys(asyncio.run(broken(self._cluster.postgres.url, deep=False)))

    def _follow(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            waiting = self._waiting
        if not waiting:
            return
        seen = {row[0]: row[1:] for row in connection.execute(AFTER, ([r.unit for r in waiting],))}
        settled = []
        for recovery in waiting:
            attempt, leased_at, done = seen.get(recovery.unit, (recovery.attempt, None, True))
            if attempt > recovery.attempt:
                self.recovered[recovery.what].append(leased_at - recovery.since)
            if attempt > recovery.attempt or done:
                settled.append(recovery)
        with self._lock:
            self._waiting = [recovery for recovery in self._waiting if recovery not in settled]

    def _age(self, connection: psycopg.Connection[Any]) -> None:
        young = [
            life
            for life in self._spent
            if not (life.aged or life.deleted or life.wrong) and life.job_id in self.efforts
        ]
        for life in young:
            life.aged = True
        for statement in (AGE_VERSIONS, AGE_JOBS):
            connection.execute(statement, ([life.job_id for life in young],))

    def _sample(self, connection: psycopg.Connection[Any]) -> None:
        names = ("units", "again", "deaths", "crashes", "errors", "widened")
        self.efforts |= {
            row[0]: dict(zip(names, map(int, row[1:]), strict=True)) for row in connection.execute(EFFORTS)
        }
        self._age(connection)
        for name, size in connection.execute(SIZES):
            self.samples[f"bytes of {name}"].append(float(size))
        for name, size in resident(self._cluster).items():
            self.samples[f"RSS of {name}"].append(size)
        with (
            suppress(redis.RedisError),
            redis.Redis.from_url(self._cluster.redis.url, socket_timeout=1) as client,
        ):
            self.samples["Redis keys"].append(sum(b"soak" not in key for key in client.scan_iter(count=1000)))
        suspects = orphans(self._cluster)
        self.orphans |= suspects & self._suspects
        self._suspects = suspects


async def broken(url: str, *, deep: bool) -> list[str]:
    """The violations that `gristmill server verify` finds."""
    pool = connect(url, name="soak")
    try:
        return await violations(pool, deep=deep)
    finally:
        await pool.close()


def held_by(cluster: Cluster, pid: int) -> list[Held]:
    """The leases of the worker with this process id, at this moment."""
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(cluster.postgres.url, autocommit=True, connect_timeout=2) as connection,
    ):
        return [Held(*row) for row in connection.execute(f"{LEASES} AND w.pid = %s", (pid,))]
    return []


def resident(cluster: Cluster) -> dict[str, float]:
    """Bytes by kind of process; of several, the largest."""
    found: dict[str, float] = defaultdict(float)
    for node in cluster.nodes:
        kind = node.name.partition("-")[0]
        with suppress(psutil.Error, AssertionError):
            process = psutil.Process(node.pid)
            found[f"a {kind}"] = max(found[f"a {kind}"], process.memory_info().rss)
            for child in process.children():
                found["a child"] = max(found["a child"], child.memory_info().rss)
    return found


def orphans(cluster: Cluster) -> set[int]:
    """Child processes of this cluster whose parent is not one of its workers."""
    parents = {node.pid for node in cluster.nodes if node.child is not None}
    return {pid for pid, parent in members(cluster.mark) if parent not in parents}


def members(mark: int) -> list[tuple[int, int]]:
    """(pid, parent's pid) of every living child process of workers that carry this mark."""
    found = []
    for process in marked(mark):
        with suppress(psutil.Error):
            if "worker_service.child" in process.cmdline():
                found.append((process.pid, process.ppid()))
    return found


def level(values: list[float]) -> dict[str, float]:
    """The median of each third of a run, and the largest value: a leak grows from third to third."""
    third = max(1, len(values) // 3)
    thirds = [
        statistics.median(part)
        for part in (values[:third], values[third : 2 * third] or values, values[-third:])
    ]
    return {"first": thirds[0], "second": thirds[1], "third": thirds[2], "most": max(values)}
