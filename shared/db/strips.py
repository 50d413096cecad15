"""Reads the chunks of a job in few cells, and the causes of its failed attempts."""

from typing import NamedTuple

from shared.core.lifecycle import UnitKind
from shared.core.strip import MOST_CELLS, Cause, Cell
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import HISTORY, UNITS

MOST_CAUSES = 20


class Extent(NamedTuple):
    """The revision of a job, and how many chunks it has."""

    revision: int
    chunks: int


class StripStore:
    """But for `extent`, of jobs that are known to be those of the tenant that asks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def extent(self, tenant: str, job_id: str) -> Extent | None:
        """None for a job that is none of the tenant."""
        async with self._pool.connection() as connection:
            row = await UNITS.extent.fetchrow(connection, tenant=tenant, job_id=job_id)
        return Extent(**row) if row else None

    async def cells(self, job_id: str, first: int, per: int) -> list[Cell]:
        """The chunks from number *first* on, *per* of them in each of at most MOST_CELLS cells."""
        async with self._pool.connection() as connection:
            rows = await UNITS.strip.fetch(connection, job_id=job_id, first=first, per=per, cells=MOST_CELLS)
        return [read_row(Cell, row) for row in rows]

    async def causes(self, job_id: str) -> list[Cause]:
        """The most frequent ones first."""
        async with self._pool.connection() as connection:
            rows = await HISTORY.causes.fetch(connection, job_id=job_id, most=MOST_CAUSES)
        return [read_row(Cause, row, kind=UnitKind(row["kind"])) for row in rows]
