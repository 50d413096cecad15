"""The workers table: the only heartbeat."""

from datetime import timedelta

from shared.core.fairness import Held
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import UNITS, WORKERS


class WorkerStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(
        self, worker: str, *, host: str, pid: int, version: str, slots: int, able: int, draining: bool
    ) -> dict[tuple[int, int], bool]:
        """Say that the worker lives, and how many of its slots are at work or can take some.

        Answers with the (unit, attempt) pairs that are still its own, and whether they are still wanted.
        """
        async with self._pool.connection() as connection:
            await WORKERS.beat.execute(
                connection,
                worker=worker,
                host=host,
                pid=pid,
                version=version,
                slots=slots,
                able=able,
                draining=draining,
            )
            held = await WORKERS.held.fetch(connection, worker=worker)
        return {(row["id"], row["attempt"]): row["wanted"] for row in held}

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
