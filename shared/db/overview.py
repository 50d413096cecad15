"""The work of a tenant as a whole: its queue, the last hour by minutes, and its failures by cause."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from shared.core.overview import MINUTES, FailureGroup, Minute, Overview, Queue, Slots
from shared.db.pool import Connection, Pool
from shared.db.records import read_row
from shared.db.statements import OVERVIEW
from shared.errors import TransientError

MOST_WAITING = 100_000
"""So many waiting units are counted."""
FAILED_WITHIN = timedelta(days=7)
MOST_CAUSES = 20
MOST_ENDED, MOST_JOBS = 50_000, 10_000
"""So many chunks and jobs of the last hour, and so many jobs with their failures, are read."""
PART_SECONDS = 2.0
"""A part of the overview that takes longer is left out."""
_Part = TypeVar("_Part")


class OverviewStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, tenant: str, *, lease: timedelta, with_slots: bool) -> Overview:
        """A worker that was silent for *lease* is gone."""
        late: list[str] = []

        async def part(name: str, read: Callable[[Connection], Awaitable[_Part]]) -> _Part | None:
            try:
                async with self._pool.transaction() as connection:
                    await self._pool.extend(connection, PART_SECONDS)
                    return await read(connection)
            except TransientError:
                late.append(name)
                return None

        return Overview(
            queue=await part("the queue", partial(_queue, tenant=tenant)),
            slots=await part("the slots", partial(_slots, lease=lease)) if with_slots else None,
            minutes=await part("the last hour", partial(_minutes, tenant=tenant)),
            failures=await part("the failures", partial(_failures, tenant=tenant)),
            late=tuple(late),
        )


async def _queue(connection: Connection, tenant: str) -> Queue:
    row = await OVERVIEW.queue.fetchrow(connection, tenant=tenant, most=MOST_WAITING)
    assert row is not None
    return read_row(Queue, row)


async def _slots(connection: Connection, lease: timedelta) -> Slots:
    row = await OVERVIEW.slots.fetchrow(connection, lease=lease)
    assert row is not None
    return read_row(Slots, row)


async def _failures(connection: Connection, tenant: str) -> tuple[FailureGroup, ...]:
    rows = await OVERVIEW.failures.fetch(
        connection, tenant=tenant, within=FAILED_WITHIN, among=MOST_JOBS, most=MOST_CAUSES
    )
    return tuple(read_row(FailureGroup, row) for row in rows)


async def _minutes(connection: Connection, tenant: str) -> tuple[Minute, ...]:
    """A minute for each number that is whole, from the rows that are there, oldest first."""
    found: dict[int, dict[str, int]] = {ago: {"ago": ago} for ago in reversed(range(MINUTES))}
    for statement in (OVERVIEW.read, OVERVIEW.ended):
        rows = [dict(row) for row in await statement.fetch(connection, tenant=tenant, most=MOST_ENDED)]
        if sum(row.pop("counted") for row in rows) >= MOST_ENDED:
            first = max(row["ago"] for row in rows)
            found = {ago: values for ago, values in found.items() if ago < first}
        for row in rows:
            if row["ago"] in found:
                found[row["ago"]] |= row
    return tuple(Minute(**values) for values in found.values())
