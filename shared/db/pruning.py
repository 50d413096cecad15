"""Deleting data that no user is promised any more.

A method that returns a count deletes one batch. Any number of workers may call each at once.
"""

from datetime import timedelta

import asyncpg

from shared.db.deleting import LOCK_TIMEOUT, delete_result
from shared.db.pool import Pool
from shared.db.result_tables import drop_table
from shared.db.statements import PRUNING
from shared.errors import InUse, ResultLocked

BATCH = 50
"""The most rows that are locked at a time where a deletion may take long."""

_IN_USE = (
    asyncpg.LockNotAvailableError,
    asyncpg.DependentObjectsStillExistError,
    InUse,
    ResultLocked,
)
"""A reader holds the table, or a user's own view shows it."""


class PruneStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def partials(self, retried: timedelta) -> int:
        """Those of succeeded jobs, if the publishing worker died, and of others *retried* after the end."""
        async with self._pool.connection() as connection:
            return int(await PRUNING.partials.fetchval(connection, retried=retried, most=BATCH))

    async def versions(self, superseded: timedelta, unnamed: timedelta) -> None:
        """Tables and their rows in `versions`, together, all of them, and the view of a name that expired.

        One that is in use waits for another pass.
        """
        async with self._pool.connection() as connection:
            expired = await PRUNING.expired_versions.fetch(connection, superseded=superseded, unnamed=unnamed)
            for row in expired:
                try:
                    async with connection.transaction():
                        if row["name"] is not None:
                            await delete_result(connection, row["tenant"], row["name"], expired=True)
                            continue
                        await connection.execute(LOCK_TIMEOUT)
                        if await PRUNING.version.fetchval(connection, job_id=row["job_id"]) is not None:
                            await connection.execute(drop_table(row["job_id"]))
                except _IN_USE:
                    continue

    async def jobs(self, age: timedelta) -> int:
        """Jobs that ended *age* ago and have no rows left."""
        async with self._pool.connection() as connection:
            return int(await PRUNING.jobs.fetchval(connection, kept=age, most=BATCH))

    async def plans(self, age: timedelta) -> int:
        """Dry runs that ended *age* ago."""
        async with self._pool.connection() as connection:
            return int(await PRUNING.plans.fetchval(connection, kept=age, most=BATCH))

    async def uploads(self, unused: timedelta, retried: timedelta) -> list[tuple[str, str]]:
        """The tenant and id of uploads that are deleted from the table; the caller deletes their files."""
        async with self._pool.connection() as connection:
            rows = await PRUNING.uploads.fetch(connection, unused=unused, retried=retried, most=BATCH)
        return [(row["tenant"], row["id"]) for row in rows]

    async def unfinished_uploads(self) -> list[tuple[str, str]]:
        """As `uploads`, of those that have expired unfinished."""
        async with self._pool.connection() as connection:
            rows = await PRUNING.unfinished_uploads.fetch(connection, most=BATCH)
        return [(row["tenant"], row["id"]) for row in rows]

    async def strays(self, upload_ids: list[str]) -> set[str]:
        """Those of the ids that are no upload."""
        async with self._pool.connection() as connection:
            return {row["id"] for row in await PRUNING.strays.fetch(connection, ids=upload_ids)}

    async def keys(self, ended: timedelta) -> int:
        """API keys that ended by themselves *ended* ago."""
        async with self._pool.connection() as connection:
            return int(await PRUNING.keys.fetchval(connection, ended=ended, most=BATCH))

    async def days(self) -> None:
        """The days before yesterday on which tenants have scanned bytes."""
        async with self._pool.connection() as connection:
            await PRUNING.days.execute(connection)

    async def workers(self, silent: timedelta) -> None:
        async with self._pool.connection() as connection:
            await PRUNING.workers.execute(connection, silent=silent)
