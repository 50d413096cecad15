"""Recovery times of a running system at the default periods: one fault at a time, many times.

The cluster has no other work.
"""

import gzip
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import redis

from tests.soak.cluster import Cluster, Node, send
from tests.soak.load import Load, prepared
from tests.soak.report import spread, table, words
from tests.support.stack import eventually

BLOCK = "".join(f"id{i % 100:03d},{i * 7919 % 1000},{i / 8}\n" for i in range(1000)) * 50
"""About 800 KB of rows."""
AGGREGATES = [{"fn": "sum", "column": "v"}, {"fn": "mean", "column": "w"}, {"fn": "std", "column": "w"}]
DONE_SINCE = "SELECT 1 FROM gristmill.units WHERE job_id = %s AND state = 'done' AND NOT id = ANY (%s)"
CHUNKS = 120
LONG_BLOCKS = 1500
PATIENCE = 120.0


@dataclass(frozen=True)
class Figure:
    """Seconds, unless it says otherwise; *bar* bounds the p99, or the largest of a few."""

    name: str
    values: list[float]
    bar: float

    @property
    def held(self) -> bool:
        return self.found <= self.bar

    @property
    def found(self) -> float:
        return spread(self.values)["p99"]

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "bar": self.bar,
            "held": self.held,
            **spread(self.values),
            "values": [round(v, 3) for v in self.values],
        }


class Bench:
    """A cluster at the default periods, and the questions to it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._http = [httpx2.Client(base_url=url, timeout=30) for url in cluster.urls]
        self.long = self._job(write(cluster.data / "long.csv.gz", gzip.compress(BLOCK.encode()), LONG_BLOCKS))
        self.wide = self._job(
            write(cluster.data / "wide.csv", BLOCK.encode(), CHUNKS), chunk_bytes=len(BLOCK)
        )

    @staticmethod
    def _job(path: Path, **options: Any) -> dict[str, Any]:
        source = {
            "uris": [f"file://{path}"],
            "format": "csv",
            "csv": {"header": False, "names": ["k", "v", "w"]},
        }
        return {"source": source, "group_by": ["k"], "aggregates": AGGREGATES, "options": options}

    def ready(self) -> None:
        for http in self._http:
            eventually(partial(is_ready, http), "a gateway's readiness")
        eventually(
            lambda: (
                len(self.sql("SELECT 1 FROM gristmill.workers WHERE seen_at > now() - interval '5 s'")) >= 3
            ),
            "the workers' start",
        )

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.cluster.postgres.url, autocommit=True, connect_timeout=3) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def submit(self, spec: dict[str, Any]) -> str:
        answer = self._http[0].post("/v1/jobs", json=spec)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def cancel(self, job_id: str) -> None:
        answer = self._http[0].post(f"/v1/jobs/{job_id}/cancel")
        assert answer.status_code == 202, answer.text

    def job(self, job_id: str) -> dict[str, Any]:
        with suppress(httpx2.TransportError):
            return self._http[0].get(f"/v1/jobs/{job_id}").json()
        return {}

    def finished(self, job_id: str) -> dict[str, Any]:
        return eventually(
            lambda: (job := self.job(job_id)).get("done") and job, "the end of the job", PATIENCE
        )

    def is_back(self) -> bool:
        return all(is_ready(http) for http in self._http)

    def is_up(self, node: Node) -> bool:
        if node in self.cluster.gateways:
            return is_ready(self._http[self.cluster.gateways.index(node)])
        return bool(self.sql("SELECT 1 FROM gristmill.workers WHERE pid = %s AND NOT draining", node.pid))

    def caught(self, job_id: str) -> tuple[Node, int, int]:
        """The worker that runs the job's long chunk, and that unit and its attempt."""
        found = (
            "SELECT w.pid, u.id, u.attempt FROM gristmill.units u JOIN gristmill.workers w ON w.id = u.worker"
        )
        pid, unit, attempt = eventually(
            lambda: self.sql(f"{found} WHERE u.job_id = %s AND kind = 'chunk' AND state = 'leased'", job_id),
            "its lease",
        )[0]
        return next(node for node in self.cluster.workers if node.pid == pid), unit, attempt

    def again(self, unit: int, attempt: int) -> float | None:
        """The time of its next lease, in seconds since the epoch."""
        rows = self.sql(
            "SELECT extract(epoch FROM leased_at)::float8 FROM gristmill.units"
            " WHERE id = %s AND attempt > %s",
            unit,
            attempt,
        )
        return rows[0][0] if rows else None

    def under_way(self, job_id: str, share: float) -> None:
        eventually(lambda: self.job(job_id)["progress"]["chunks"]["done"] >= share * CHUNKS, "some chunks")


def is_ready(http: httpx2.Client) -> bool:
    with suppress(httpx2.TransportError):
        return http.get("/readyz").status_code == 200
    return False


def write(path: Path, block: bytes, times: int) -> Path:
    with path.open("wb") as file:
        for _ in range(times):
            file.write(block)
    return path


def killed_workers(bench: Bench, times: int = 45, every: float = 3.5) -> Figure:
    """One after the other, without a wait for the one before: a lease lives for ten seconds."""
    lost, found = [], []
    for _ in range(times):
        following = time.monotonic() + every
        job_id = bench.submit(bench.long)
        worker, unit, attempt = bench.caught(job_id)
        worker.kill()
        lost.append((job_id, unit, attempt, time.time()))
        worker.start()
        lost = [one for one in lost if not recovered(bench, one, found)]
        time.sleep(max(0.0, following - time.monotonic()))
    for one in lost:
        eventually(lambda one=one: recovered(bench, one, found), "a unit's second lease")
    return Figure("SIGKILL of a worker: its unit is leased elsewhere", found, 15)


def recovered(bench: Bench, lost: tuple[str, int, int, float], found: list[float]) -> bool:
    job_id, unit, attempt, since = lost
    again = bench.again(unit, attempt)
    if again is None:
        return False
    found.append(again - since)
    bench.cancel(job_id)
    return True


def killed_children(bench: Bench, times: int = 60, every: float = 4.0) -> Figure:
    """With time between, in which killed children, also those of the cancel, are replaced."""
    found: list[float] = []
    for _ in range(times):
        following = time.monotonic() + every
        job_id = bench.submit(bench.long)
        worker, unit, attempt = bench.caught(job_id)
        since = time.time()
        send(worker.children, signal.SIGKILL)
        eventually(
            lambda one=(job_id, unit, attempt, since): recovered(bench, one, found), "a unit's second lease"
        )
        time.sleep(max(0.0, following - time.monotonic()))
    return Figure("SIGKILL of a child: its unit is leased again", found, 1)


def cancels(bench: Bench, times: int = 20) -> Figure:
    """Two at a time: seconds until the process that ran the unit is gone."""
    found = []
    for _ in range(times):
        jobs = [bench.submit(bench.long) for _ in range(2)]
        busy = [bench.caught(job_id)[0].children for job_id in jobs]
        for job_id, pids in zip(jobs, busy, strict=True):
            since = time.monotonic()
            bench.cancel(job_id)
            eventually(
                lambda pids=pids: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the child's end"
            )
            found.append(time.monotonic() - since)
    return Figure("cancel: the CPU is free", found, 5)


def took(bench: Bench, harm: Callable[[], None]) -> float:
    begun = time.monotonic()
    job_id = bench.submit(bench.wide)
    bench.under_way(job_id, 0.3)
    harm()
    job = bench.finished(job_id)
    assert job["state"] == "succeeded", job["error"]
    return time.monotonic() - begun


def without_redis(bench: Bench, times: int = 5) -> Iterator[Figure]:
    clean = statistics.median(took(bench, lambda: None) for _ in range(times))

    def flush() -> None:
        with redis.Redis.from_url(bench.cluster.redis.url) as client:
            client.flushall()

    def empty() -> None:
        bench.cluster.kill_redis()
        bench.cluster.restart_redis()

    for name, harm in {"FLUSHALL": flush, "Redis killed, back without its data": empty}.items():
        yield Figure(
            f"{name}: longer than without ({clean:.1f} s)",
            [took(bench, harm) - clean for _ in range(times)],
            10,
        )


def without_postgres(bench: Bench, times: int = 2, away: float = 30.0) -> Iterator[Figure]:
    healthy, again = [], []
    for _ in range(times):
        job_id = bench.submit(bench.wide)
        bench.under_way(job_id, 0.3)
        before = dict(
            bench.sql("SELECT id, attempt FROM gristmill.units WHERE job_id = %s AND state = 'done'", job_id)
        )
        bench.cluster.kill_postgres()
        time.sleep(away)
        bench.cluster.restart_postgres()
        since = time.monotonic()
        eventually(bench.is_back, "the gateways' readiness")
        eventually(partial(bench.sql, DONE_SINCE, job_id, list(before)), "another unit's end")
        healthy.append(time.monotonic() - since)
        assert bench.finished(job_id)["state"] == "succeeded"
        after = dict(bench.sql("SELECT id, attempt FROM gristmill.units WHERE job_id = %s", job_id))
        again.append(float(sum(after[unit] != attempt for unit, attempt in before.items())))
    yield Figure("Postgres killed, back after 30 s: ready, and a unit committed", healthy, 5)
    yield Figure("Postgres killed: finished chunks that ran again (number)", again, 0)


def rolling_restarts(bench: Bench, rounds: int = 20) -> Iterator[Figure]:
    """All workers and gateways, one after the other, while jobs come and go."""
    cluster = bench.cluster
    known = [case for case in prepared(cluster.urls, cluster.data, 60.0) if case.code is None]
    load = Load(cluster.urls, known, seed=1, in_flight=4, patience=PATIENCE, shares={"plain": 1})
    load.start()
    for _ in range(rounds):
        for node in cluster.nodes:
            node.signal(signal.SIGTERM)
            assert node.wait(40), f"{node.name} did not drain"
            node.start()
            eventually(lambda node=node: bench.is_up(node), f"the return of {node.name}")
    load.stop()
    load.join()
    wrong = [words for life in load.lives for _, words in life.wrong]
    charged = bench.sql(
        "SELECT count(*) FROM gristmill.units WHERE deaths + crashes + errors > 0 AND job_id = ANY (%s)",
        [life.job_id for life in load.lives],
    )
    yield Figure(
        f"{rounds} rolling restarts under {len(load.lives)} jobs: jobs that went wrong (number)",
        [float(len(wrong) + len(load.bugs))],
        0,
    )
    yield Figure(f"{rounds} rolling restarts: attempts charged (number)", [float(charged[0][0])], 0)


def measured(cluster: Cluster) -> Iterator[Figure]:
    """All figures; they take about twelve minutes."""
    bench = Bench(cluster)
    bench.ready()
    yield killed_children(bench)
    yield cancels(bench)
    yield from without_redis(bench)
    yield from without_postgres(bench)
    yield killed_workers(bench)
    yield from rolling_restarts(bench)


def text(document: dict[str, Any]) -> str:
    rows = {
        f["name"]: f"{words(f)}   at most {f['bar']:g}: {'yes' if f['held'] else 'NO'}"
        for f in document["figures"]
    }
    return table(f"default periods, {document['versions']['cores']} cores", rows)
