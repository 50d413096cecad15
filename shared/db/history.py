"""The job_events table: the history of jobs. Writers hold the job's row."""

from typing import Any

from shared.core.history import Entry, Event
from shared.db.pool import LIST_BYTES, Connection, Pool, Record
from shared.db.records import read_page, read_row
from shared.db.statements import HISTORY, JOBS


def said(**known: Any) -> dict[str, Any]:
    """The content of an entry beside its event: all that is known."""
    return {name: value for name, value in known.items() if value is not None}


async def note(tx: Connection, job_id: str, event: Event, **known: Any) -> None:
    """Write an entry in the transaction that causes it, which has locked the job's row."""
    await HISTORY.append.execute(tx, job_id=job_id, event=event, said=said(**known))


class HistoryStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, tenant: str, job_id: str, *, after: int, limit: int
    ) -> tuple[list[Entry], bool] | None:
        """Entries in their order, after the number *after*; None if the tenant has no such job.

        About LIST_BYTES of them, and whether others follow.
        """
        async with self._pool.connection() as connection:
            rows = await HISTORY.page.fetch(
                connection, job_id=job_id, after=after, most=limit, bytes=LIST_BYTES
            )
            known = await JOBS.exists.fetchval(connection, tenant=tenant, id=job_id)
        return read_page(rows, _entry) if known else None


def _entry(row: Record) -> Entry:
    return read_row(Entry, row, event=Event(row["event"]))
