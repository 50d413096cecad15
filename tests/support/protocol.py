"""The unit protocol on real Postgres, with a logical clock and with work that costs nothing.

States are a few bytes, and name the unit and attempt that wrote them.

A chunk has one row in each of three buckets; a merge writes a row of the result for each that lies in its
range. So a published table shows which chunk counted, and how often.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import set_json_loads

from shared.core.fairness import Held, preempted
from shared.core.plan import ChunkPayload, MergeStats, Plan, PlannedColumn
from shared.core.row_counts import RowCounts
from shared.core.timings import Timings
from shared.db.deleting import DeleteStore
from shared.db.fan_in import FanInStore
from shared.db.jobs import JobStore
from shared.db.partials import Partial, PartialStore
from shared.db.plans import PlanStore
from shared.db.pool import Connection, Pool
from shared.db.pruning import PruneStore
from shared.db.publishing import PublishingStore
from shared.db.units import Done, Lease, NewUnit, UnitStore
from shared.db.workers import WorkerStore
from shared.errors import LeaseLost
from shared.storage.uploads import UploadFiles
from tests.support.clock import SEARCH_PATH, Clock
from worker_service.context import Context
from worker_service.dispatch.ring import Dispatcher
from worker_service.maintenance.pruner import Pruner
from worker_service.maintenance.sweeper import Sweeper
from worker_service.units import publish
from worker_service.units.fan_in import advance

TIMINGS = Timings()
TENANTS = ("default", "other")
COLUMNS = ["k", "count"]
PLAN = Plan(files=(), schema=(PlannedColumn("k", "string", declared=True),), bytes=0)
CHUNK_BYTES = 1_000_000
LONG_MERGE_BYTES = 250
LONG_PUBLISH_ROWS = 10
MERGE_BYTES = 300
"""In place of the product's own, so that a job of a few chunks has one, two or four merges."""


def spec(name: str | None, deadline: str | None) -> dict[str, Any]:
    return {
        "source": {"uris": ["file:///data/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
        "output": {"name": name, "versions": 1},
        "options": {"deadline": deadline},
    }


def buckets(chunk: int) -> list[int]:
    """Where the rows of a chunk lie."""
    return sorted({chunk * 37 % 1024, (chunk * 411 + 200) % 1024, 1023 - chunk})


def keys(chunk: int, first: int = 0, end: int = 1024) -> list[str]:
    """The rows of the result that a chunk gives in buckets [first, end)."""
    return [f"{chunk}@{bucket}" for bucket in buckets(chunk) if first <= bucket < end]


def ranges(chunk: int) -> list[tuple[int, int]]:
    """The buckets of a chunk's partials; by turns one, which is committed in another way than several."""
    return [(0, 511), (512, 1023)] if chunk % 2 else [(0, 1023)]


def partials(*leases: Lease) -> list[Partial]:
    """The partials of a chunk, or of a fold: which leases made them, and where their rows lie."""
    found = []
    for first, last in ranges(leases[-1].no):
        states = [
            {"unit": lease.id, "attempt": lease.attempt, "chunk": lease.no, "buckets": inside}
            for lease in leases
            if (inside := [bucket for bucket in buckets(lease.no) if first <= bucket <= last])
        ]
        groups = sum(len(state["buckets"]) for state in states)
        data = json.dumps(states).encode()
        found.append(Partial(first, last, groups, data, len(data)))
    return found


def report(lease: Lease, rows_out: int) -> Done:
    rows = len(buckets(lease.no))
    return Done(counts=RowCounts(read=rows, aggregated=rows), rows_out=rows_out)


class Messages(list[tuple[int, int]]):
    """In place of Redis: (unit, number of the ring), delivered in any order, any number of times or never."""

    async def begin_turn(self, _period: timedelta) -> int:
        return len(self)

    async def ring(self, due: list[tuple[int, int]]) -> None:
        """A ring takes the place of those before it."""
        again = {unit for unit, _ in due}
        self[:] = [message for message in self if message[0] not in again] + due


class Stores:
    """What one worker process has: the product's stores, and its maintenance."""

    def __init__(
        self, pool: Pool, state_version: int, messages: Messages, storage: Path, clock: Callable[[], float]
    ) -> None:
        self.jobs = JobStore(pool)
        self.units = UnitStore(pool, TIMINGS, state_version)
        self.partials = PartialStore(pool, self.units)
        self.publishing = PublishingStore(pool, self.units)
        self.workers = WorkerStore(pool)
        self.deleting = DeleteStore(pool)
        self.context = Context(
            settings=SimpleNamespace(slot_memory_bytes=1 << 31),
            timings=TIMINGS,
            pool=pool,
            jobs=self.jobs,
            units=self.units,
            partials=self.partials,
            fan_in=FanInStore(pool),
            publishing=self.publishing,
            plans=PlanStore(pool),
            doorbell=messages,
            executor=None,
        )
        self.sweeper = Sweeper(self.jobs, self.units, self.advance, TIMINGS, clock)
        self.pruner = Pruner(PruneStore(pool), UploadFiles(storage))
        self.dispatcher = Dispatcher(messages, self.units, SimpleNamespace(free=0), TIMINGS.dispatch)

    async def advance(self, job_id: str) -> bool:
        return await advance(self.context, job_id)

    async def room(self, state_version: int) -> list[Held]:
        """Which leases make room, as each worker finds out at its heartbeat."""
        leases, waiting, free = await self.workers.rivals(
            lease=TIMINGS.lease, state_version=state_version, waited=TIMINGS.heartbeat
        )
        return preempted(leases, waiting=waiting, free=free, protected=TIMINGS.protected)

    async def commit(
        self, lease: Lease, chunks: int, before_end: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """The unit's own commit, with *chunks* for a plan.

        A chunk or merge stops in the open transaction for *before_end*.
        """
        match lease.kind:
            case "plan":
                made = [
                    NewUnit(no=no, payload=ChunkPayload(extents=()), bytes=CHUNK_BYTES)
                    for no in range(chunks)
                ]
                await self.units.complete_plan(lease, PLAN, made)
            case "publish":
                await publish.run(self.context, lease, await self.context.planned(lease))
            case "chunk":
                done = report(lease, len(buckets(lease.no)))
                if before_end is None:
                    await self.partials.commit(lease, done, iter(partials(lease)))
                else:
                    await self._commit(
                        lease,
                        done,
                        lambda tx: self.partials.save(tx, lease, partials(lease)),
                        before_end,
                    )
            case "merge":
                found = await self._merged(lease)
                done = Done(counts=RowCounts(aggregated=len(found)), rows_out=len(found), stats=MergeStats())
                await self._commit(lease, done, self._rows(lease, found), before_end)

    async def commit_fold(self, leases: list[Lease]) -> None:
        """The commit of chunks together: the last one has the partials."""
        *earlier, last = leases
        states = partials(*leases)
        await self.partials.commit(
            last,
            report(last, sum(partial.groups for partial in states)),
            iter(states),
            earlier=[(lease, report(lease, 0)) for lease in earlier],
        )

    async def _commit(
        self, lease: Lease, done: Done, write: Callable[[Connection], Awaitable[None]], before_end
    ) -> None:
        async def write_and_wait(tx: Connection) -> None:
            await write(tx)
            if before_end is not None:
                await before_end()

        await self.units.complete(lease, done, write_and_wait)

    async def _merged(self, lease: Lease) -> list[str]:
        first, end = lease.payload.first, lease.payload.end
        found = [json.loads(data) async for data, _ in self.partials.of_buckets(lease.job_id, first, end)]
        return [
            f"{state['chunk']}@{bucket}"
            for states in found
            for state in states
            for bucket in state["buckets"]
            if first <= bucket < end
        ]

    def _rows(self, lease: Lease, rows: list[str]) -> Callable[[Connection], Awaitable[None]]:
        async def lines() -> AsyncIterator[bytes]:
            for no, key in enumerate(rows):
                yield f"{lease.no * 1000 + no},{key},1\n".encode()

        async def write(tx: Connection) -> None:
            await self.publishing.copy(tx, lease.job_id, COLUMNS, lines())

        return write


@dataclass(frozen=True)
class Snapshot:
    """All of the database at one moment: rows by their key, every column."""

    now: datetime
    started: datetime
    jobs: dict[str, Any]
    units: dict[int, Any]
    partials: dict[tuple[str, int, int], Any]
    workers: dict[str, Any]
    versions: dict[str, Any]
    results: dict[tuple[str, str], Any]
    tables: frozenset[str]

    def of_job(self, job_id: str, kind: str | None = None) -> list[Any]:
        return [unit for unit in self.units.values() if unit.job_id == job_id and kind in {None, unit.kind}]

    def changes(self, later: "Snapshot") -> set[tuple[str, Any]]:
        """(table, key) of every row that differs."""
        pairs = (
            (name, getattr(self, name), getattr(later, name))
            for name in ("jobs", "units", "partials", "workers", "versions", "results")
        )
        return {
            (name, key)
            for name, old, new in pairs
            for key in old.keys() | new.keys()
            if old.get(key) != new.get(key)
        }


@dataclass(eq=False)
class OpenCommit:
    """A commit that has written everything and has not said COMMIT."""

    lease: Lease
    task: asyncio.Task[None]
    gate: asyncio.Event = field(default_factory=asyncio.Event)


_KEYS: dict[str, Callable[[Any], Any]] = {
    "jobs": lambda row: row.id,
    "units": lambda row: row.id,
    "partials": lambda row: (row.job_id, row.chunk, row.piece),
    "workers": lambda row: row.id,
    "versions": lambda row: row.job_id,
    "results": lambda row: (row.tenant, row.name),
}
_LOOKS = {name: f"* FROM gristmill.{name} ORDER BY 1, 2" for name in _KEYS} | {
    "tables": "relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'gristmill_results'::regnamespace"
}


class World:
    """One database, its clock, an event loop, and an eye of its own: plain SELECTs through another driver."""

    def __init__(self, url: str, storage: Path) -> None:
        """*storage* is an empty folder for uploads, of which there are none."""
        self._storage = storage
        self._eye = psycopg.connect(
            url, autocommit=True, row_factory=namedtuple_row, options="-c lock_timeout=10s"
        )
        set_json_loads(bytes, self._eye)  # compared often, read seldom
        self.clock = Clock(self._eye)
        self._runner = asyncio.Runner()
        common = {"search_path": SEARCH_PATH, "timezone": "UTC", "jit": "off"}
        self._pools = [
            Pool(url, size=8, patience=5, seconds=None, server_settings=common | {"lock_timeout": wait})
            for wait in ("40ms", "0")
        ]
        self.messages = Messages()
        self._ids = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        """The same ids in every run."""
        return f"{prefix}_{next(self._ids):03}"

    def stores(self, state_version: int, *, waits: bool = False) -> Stores:
        """Without *waits*, a statement that meets another transaction's lock gives up soon.

        The test's own commits may be open.
        """
        return Stores(self._pools[waits], state_version, self.messages, self._storage, self.clock.seconds)

    def run(self, operation: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(operation)

    def open_commit(self, stores: Stores, lease: Lease) -> OpenCommit | None:
        """None if the fence refused it."""

        async def begin() -> OpenCommit | None:
            reached, gate = asyncio.Event(), asyncio.Event()

            async def wait() -> None:
                reached.set()
                await gate.wait()

            task = asyncio.create_task(stores.commit(lease, 0, wait))
            waiting = asyncio.create_task(reached.wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not task.done():
                return OpenCommit(lease, task, gate)
            with contextlib.suppress(LeaseLost):
                task.result()
            return None

        return self.run(begin())

    def end_commit(self, commit: OpenCommit, *, die: bool) -> None:
        async def end() -> None:
            if die:
                commit.task.cancel()
            commit.gate.set()
            await asyncio.wait({commit.task})

        self.run(end())
        # Postgres notices a closed connection in its own time; this waits for the lock to fall.
        self._eye.execute("SELECT FROM gristmill.units WHERE id = %s FOR UPDATE", (commit.lease.id,))

    def look(self) -> Snapshot:
        with self._eye.pipeline():
            seen = {name: self._eye.execute(f"SELECT {sql}") for name, sql in _LOOKS.items()}
            keyed = {name: {key_of(row): row for row in seen[name]} for name, key_of in _KEYS.items()}
            return Snapshot(
                now=self.clock.now,
                started=self.clock.started,
                tables=frozenset(row.relname for row in seen["tables"]),
                **keyed,
            )

    def table(self, name: str) -> list[str]:
        """The keys that a job's result table holds, sorted."""
        return [row.k for row in self._eye.execute(f'SELECT k FROM gristmill_results."{name}" ORDER BY k')]

    def reset(self) -> None:
        """An empty database, the same each time: ids begin again at one."""
        for table in self.look().tables:
            self._eye.execute(f'DROP TABLE gristmill_results."{table}" CASCADE')
        for table in ("jobs", "workers", "results", "versions"):
            self._eye.execute(f"DELETE FROM gristmill.{table}")
        self._eye.execute("SELECT setval(pg_get_serial_sequence('gristmill.units', 'id'), 1, false)")
        self._ids = itertools.count(1)
        self.messages.clear()
        self.clock.reset()

    def close(self) -> None:
        for pool in self._pools:
            self.run(pool.close())
        self._runner.close()
        self._eye.close()
