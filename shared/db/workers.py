"""The workers table: the only heartbeat."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from shared.core.fairness import Held
from shared.core.workers import HeldUnit, Usage, Worker
from shared.db.pool import LIST_BYTES, Pool, Record
from shared.db.records import read_page, read_row
from shared.db.statements import UNITS, WORKERS

PAGE_WORKERS = 1000


class Heard(NamedTuple):
    """The answer to a heartbeat: whether the worker was asked to drain, and its leases.

    Leases are the (unit, attempt) pairs that are still its own, and whether they are still wanted.
    """

    drain: bool
    held: dict[tuple[int, int], bool]


class WorkerStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(
        self,
        worker: str,
        *,
        host: str,
        pid: int,
        version: str,
        slots: int,
        able: int,
        draining: bool,
        state_version: int | None = None,
        usage: Usage | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Heard:
        """Say that the worker lives, how many of its slots are at work or can take some, and its usage.

        *settings* are those of `shared.settings.agreed`; the first heartbeat stores them.
        """
        async with self._pool.connection() as connection:
            drain = await WORKERS.beat.fetchval(
                connection,
                worker=worker,
                host=host,
                pid=pid,
                version=version,
                slots=slots,
                able=able,
                draining=draining,
                state_version=state_version,
                settings=settings,
                **asdict(usage or Usage()),
            )
            held = await WORKERS.held.fetch(connection, worker=worker)
        return Heard(bool(drain), {(row["id"], row["attempt"]): row["wanted"] for row in held})

    async def page(
        self, lease: timedelta, *, after: str | None = None, worker: str | None = None, limit: int = 1
    ) -> tuple[list[Worker], bool]:
        """Workers by id, behind *after*, or only *worker*. One that was silent for *lease* is gone.

        About LIST_BYTES of them, and whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await WORKERS.page.fetch(
                connection, lease=lease, after=after, worker=worker, most=limit, bytes=LIST_BYTES
            )
        return read_page(rows, _worker)

    async def live(self, lease: timedelta) -> list[Worker]:
        """Every worker that is not gone, by id."""
        found, further = await self.page(lease, limit=PAGE_WORKERS)
        while further:
            more, further = await self.page(lease, after=found[-1].id, limit=PAGE_WORKERS)
            found += more
        return [worker for worker in found if not worker.gone]

    async def ask_to_drain(self, worker: str, lease: timedelta) -> None:
        """Does nothing for a worker that is gone or was never there."""
        async with self._pool.connection() as connection:
            await WORKERS.ask_to_drain.execute(connection, worker=worker, lease=lease)

    async def rivals(
        self, *, lease: timedelta, state_version: int, waited: timedelta
    ) -> tuple[list[Held], int, int]:
        """All leases of that version; how many tenants have *waited* without any; how many slots are free."""
        async with self._pool.connection() as connection:
            rows = await UNITS.rivals.fetch(
                connection, lease=lease, state_version=state_version, waited=waited
            )
        leases = [read_row(Held, row) for row in rows]
        return leases, rows[0]["waiting"] if rows else 0, int(rows[0]["free"]) if rows else 0

    async def able(self, lease: timedelta) -> tuple[int, int]:
        """How many workers live, and how many of them can work."""
        async with self._pool.connection() as connection:
            row = await WORKERS.able.fetchrow(connection, lease=lease)
        assert row is not None
        return row["live"], row["able"]

    async def leave(self, worker: str) -> None:
        async with self._pool.connection() as connection:
            await WORKERS.leave.execute(connection, worker=worker)


def _worker(row: Record) -> Worker:
    units = msgspec.convert(row["units"], tuple[HeldUnit, ...])
    return read_row(Worker, row, usage=read_row(Usage, row), units=units)
