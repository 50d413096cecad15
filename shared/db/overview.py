"""The work of a tenant as a whole: its queue, the last hour by minutes, and its failures by cause."""

from datetime import timedelta

from shared.core.overview import MINUTES, FailureGroup, Minute, Overview, Queue, Slots
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import OVERVIEW

MOST_WAITING = 100_000
"""So many waiting units are counted."""
FAILED_WITHIN = timedelta(days=7)
MOST_CAUSES = 20


class OverviewStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, tenant: str, *, lease: timedelta, with_slots: bool) -> Overview:
        """A worker that was silent for *lease* is gone."""
        async with self._pool.connection() as connection:
            queue = await OVERVIEW.queue.fetchrow(connection, tenant=tenant, most=MOST_WAITING)
            slots = await OVERVIEW.slots.fetchrow(connection, lease=lease) if with_slots else None
            read = await OVERVIEW.read.fetch(connection, tenant=tenant)
            ended = await OVERVIEW.ended.fetch(connection, tenant=tenant)
            failures = await OVERVIEW.failures.fetch(
                connection, tenant=tenant, within=FAILED_WITHIN, most=MOST_CAUSES
            )
        assert queue is not None
        return Overview(
            queue=read_row(Queue, queue),
            slots=None if slots is None else read_row(Slots, slots),
            minutes=_minutes([dict(row) for row in (*read, *ended)]),
            failures=tuple(read_row(FailureGroup, row) for row in failures),
        )


def _minutes(rows: list[dict[str, int]]) -> tuple[Minute, ...]:
    """A minute for each number, from the rows that are there, oldest first."""
    found: dict[int, dict[str, int]] = {ago: {"ago": ago} for ago in reversed(range(MINUTES))}
    for row in rows:
        if row["ago"] in found:
            found[row["ago"]] |= row
    return tuple(Minute(**values) for values in found.values())
