"""The quarantine table: the bad rows of finished chunks, in file order by chunk and number."""

from collections.abc import AsyncGenerator, Iterable

import msgspec

from shared.core.bad_rows import TOLD, QuarantineRow, too_many_bad_rows
from shared.core.entities import KeptRow
from shared.db.pool import LIST_BYTES, Connection, Pool, Record, copying
from shared.db.records import read_page, read_row
from shared.db.statements import QUARANTINE, UNITS
from shared.db.units import Lease
from shared.errors import Detail
from shared.fault_points import reached

FETCH_SECONDS = 60.0
_FETCH = 500
_COLUMNS = [
    "job_id", "epoch", "chunk", "no", "extent", "uri", "byte", "line_of_extent", "row", "name", "reason",
    "value", "record", "truncated",
]  # fmt: skip


async def save(tx: Connection, lease: Lease, rows: Iterable[QuarantineRow]) -> None:
    """Write the bad rows of a chunk in its commit, behind the fence."""
    records = (
        (
            lease.job_id, lease.epoch, lease.no, no, row.extent, row.uri, row.byte, row.line_of_extent,
            row.row, row.name, row.reason, row.value, row.record, row.truncated,
        )
        for no, row in enumerate(rows)
    )  # fmt: skip
    with copying("gristmill.quarantine"):
        await tx.copy_records_to_table(
            "quarantine", schema_name="gristmill", columns=_COLUMNS, records=records
        )
    reached("commit.quarantined")


async def count(tx: Connection, job_id: str, *, final: bool = False) -> int:
    """How many bad rows the finished chunks of a job have; provisional ones too, if its types are *final*.

    Two chunks that commit at once do not see each other: the last look is that of the fan-in.
    """
    return int(await UNITS.bad_rows.fetchval(tx, job_id=job_id, final=final))


async def check(tx: Connection, job_id: str, found: int, most: int | None) -> None:
    """Raises TooManyBadRows, with the first rows kept or told, if *found* is more than *most*."""
    if most is not None and found > most:
        first = await QUARANTINE.first.fetch(tx, job_id=job_id, most=TOLD)
        told = await UNITS.told.fetch(tx, job_id=job_id, most=TOLD)
        raise too_many_bad_rows(most, [*map(_detail, first), *(row["row"] for row in told)])


def _detail(row: Record) -> Detail:
    known = {key: value for key, value in row.items() if value is not None}
    return msgspec.convert(known, Detail)


class QuarantineStore:
    """`streams` is a pool of its own, so that slow readers of long answers starve no other request."""

    def __init__(self, pool: Pool, streams: Pool) -> None:
        self._pool, self._streams = pool, streams

    async def job(self, tenant: str, job_id: str) -> tuple[int, bool] | None:
        """The job's epoch, and whether its bad rows are final; None when there is no such job."""
        async with self._pool.connection() as connection:
            row = await QUARANTINE.job.fetchrow(connection, tenant=tenant, job_id=job_id)
        return (row["epoch"], row["final"]) if row else None

    async def page(
        self, job_id: str, epoch: int, after: tuple[int, int], limit: int
    ) -> tuple[list[KeptRow], bool]:
        """At most *limit* rows behind *after*, a chunk and a row of it; about LIST_BYTES of them.

        And whether others follow.
        """
        asked = {"job_id": job_id, "epoch": epoch, "chunk": after[0], "no": after[1], "most": limit}
        async with self._pool.connection() as connection:
            return read_page(await QUARANTINE.page.fetch(connection, bytes=LIST_BYTES, **asked), _kept)

    async def all(self, job_id: str, epoch: int) -> AsyncGenerator[list[KeptRow]]:
        """Every row, a few hundred at a time, of one snapshot that is read through a cursor."""
        async with self._streams.transaction() as tx:
            asked = {"job_id": job_id, "epoch": epoch, "chunk": -1, "no": -1}
            cursor = await QUARANTINE.rows.cursor(tx, None, **asked)
            while rows := await cursor.fetch(_FETCH, timeout=FETCH_SECONDS):
                yield [_kept(row) for row in rows]


def _kept(row: Record) -> KeptRow:
    return read_row(KeptRow, row, column=row["name"], text=row["record"])
