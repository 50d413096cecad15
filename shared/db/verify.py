"""The invariants of the unit protocol.

Each is one statement of queries/verify.sql, which finds the violations.
"""

import asyncpg

from shared.db.pool import Pool
from shared.db.result_tables import count_rows
from shared.db.statements import VERIFY

INVARIANTS = {
    name: statement for name, statement in VERIFY.by_name.items() if name not in {"counts", "tables"}
}


async def violations(pool: Pool, *, deep: bool = False) -> list[str]:
    """Every violation in the database, as `invariant: where`.

    Nothing is locked, and all statements see one moment. *deep* also counts the rows of every result table.
    """
    async with (
        pool.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        found = [
            f"{name}: {row[0]}"
            for name, statement in INVARIANTS.items()
            for row in await statement.fetch(connection)
        ]
    return found + (await _miscounted(pool) if deep else [])


async def counts(pool: Pool) -> dict[str, int]:
    """The numbers of jobs, units, partials and versions that were checked."""
    async with pool.connection() as connection:
        row = await VERIFY.counts.fetchrow(connection)
    assert row is not None
    return dict(row)


async def _miscounted(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        tables = await VERIFY.tables.fetch(connection)
        found = []
        for job_id, relation, rows in tables:
            try:
                counted = await connection.fetchval(count_rows(relation))
            except asyncpg.UndefinedTableError:
                continue  # pruned since, or `version_without_table` has said so
            if counted != rows:
                found.append(
                    f"table_miscounted: {job_id}: its version has {rows} rows, "
                    f"gristmill_results.{relation} has {counted}"
                )
    return found
