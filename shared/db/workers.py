"""The workers table: the only heartbeat."""

from shared.db.pool import Pool
from shared.db.statements import Statements

SQL = Statements("workers")


class WorkerStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def beat(self, worker: str, *, host: str, pid: int, version: str, slots: int, draining: bool) -> dict[tuple[int, int], bool]:
        """Say that the worker lives; answers with the (unit, attempt) pairs that are still its own, and whether they are still wanted."""
        async with self._pool.connection() as connection:
            await connection.execute(SQL.beat, worker, host, pid, version, slots, draining)
            return {(row["id"], row["attempt"]): row["wanted"] for row in await connection.fetch(SQL.held, worker)}

    async def leave(self, worker: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(SQL.leave, worker)
