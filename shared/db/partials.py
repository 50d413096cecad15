"""The partials table: the states of chunks, by ranges of buckets."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from shared.core.bad_rows import QuarantineRow
from shared.db import quarantine
from shared.db.pool import Connection, Pool, copying
from shared.db.statements import PARTIALS, UNITS
from shared.db.units import Done, Lease, UnitStore
from shared.fault_points import reached

_COLUMNS = ["job_id", "chunk", "piece", "first_bucket", "last_bucket", "groups", "data", "decoded"]
"""`piece` numbers the partials of a chunk; it keeps the name that workers of the version before write."""


class Partial(NamedTuple):
    """The states of some groups of a chunk, encoded; their buckets are in [first_bucket, last_bucket].

    *decoded* is about the bytes that they take in memory.
    """

    first_bucket: int
    last_bucket: int
    groups: int
    data: bytes
    decoded: int


class PartialStore:
    def __init__(self, pool: Pool, units: UnitStore) -> None:
        self._pool = pool
        self._units = units

    async def commit(
        self,
        lease: Lease,
        done: Done,
        partials: Iterator[Partial],
        bad_rows: Iterable[QuarantineRow] = (),
        most_bad_rows: int | None = None,
        earlier: Sequence[tuple[Lease, Done]] = (),
    ) -> None:
        """Commit a chunk with its partials: in one statement if there is one at most, which halves the price.

        Else in a transaction, and so a chunk that has bad rows; *bad_rows* are those to keep. Raises
        TooManyBadRows if the job has more than *most_bad_rows* now. The *earlier* chunks of its fold are
        committed with it: their states are in its partials.
        """

        async def write(tx: Connection) -> None:
            await self.save(tx, lease, chain(first, partials))
            reached("commit.written")
            if bad:
                await quarantine.save(tx, lease, bad_rows)
                found = await quarantine.count(tx, lease.job_id)
                await quarantine.check(tx, lease.job_id, found, most_bad_rows)

        first = list(islice(partials, 2))
        limited = done.counts.skipped > 0 and most_bad_rows is not None
        bad = done.counts.quarantined > 0 or limited
        if bad or earlier or len(first) > 1:
            await self._units.complete(lease, done, write, earlier)
        elif first:
            named = first[0]._asdict()
            await self._units.complete_at_once(lease, done, UNITS.complete_with_partial, **named)
        else:
            await self._units.complete_at_once(lease, done)

    async def save(self, tx: Connection, lease: Lease, partials: Iterable[Partial]) -> None:
        """One COPY, because a large chunk has some hundred partials."""
        records = ((lease.job_id, lease.no, no, *partial) for no, partial in enumerate(partials))
        with copying("gristmill.partials"):
            await tx.copy_records_to_table(
                "partials", schema_name="gristmill", columns=_COLUMNS, records=records
            )

    async def of_buckets(self, job_id: str, first: int, end: int) -> AsyncIterator[tuple[bytes, bool]]:
        """The data of each partial that touches buckets [first, end), in chunk order.

        And whether all of its buckets are among them.
        """
        async with self._pool.transaction() as tx:
            async for row in PARTIALS.of_buckets.cursor(tx, 4, job_id=job_id, first=first, end=end):
                yield row["data"], row["inside"]
