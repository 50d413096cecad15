"""The table of a job as it is now, and why a unit did not find it as it was made."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec

from shared.core.relations import TABLES
from shared.db.pool import Connection, Pool
from shared.db.result_tables import TableColumn, losses
from shared.db.statements import UNITS, VERSIONS
from shared.db.units import Lease
from shared.errors import LeaseLost, NotMigrated, ResultChanged


async def shape(connection: Connection, job_id: str) -> tuple[bool, list[TableColumn] | None]:
    """Whether the job has a version, and the columns of its table; None: there is no table."""
    row = await VERSIONS.shape.fetchrow(connection, job_id=job_id)
    assert row is not None
    return row["published"], msgspec.convert(row["columns"], list[TableColumn] | None)


@asynccontextmanager
async def explained(pool: Pool, lease: Lease, names: Iterable[str]) -> AsyncIterator[None]:
    """Around the statements of *lease* on its job's table, which was made with columns of these *names*.

    A table that this very lease has published may be deleted since: the unit stays done. Raises LeaseLost if
    another lease, or the end of the job, has taken the table away, and ResultChanged if other means did.
    """
    try:
        yield
    except NotMigrated as error:
        async with pool.connection() as connection:
            if await UNITS.completed_by.fetchval(connection, **lease.fence):
                return
            if not await UNITS.held_by.fetchval(connection, **lease.fence):
                raise LeaseLost(f"Job {lease.job_id} no longer wants this {lease.kind}") from error
            _, now = await shape(connection, lease.job_id)
        if found := losses(names, now):
            raise ResultChanged(
                f"The table {TABLES}.{lease.job_id} was changed before it was published: "
                f"{'; '.join(found)}. Retry the job: it makes another table"
            ) from error
        raise
