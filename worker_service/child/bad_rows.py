"""The one place that decides about the bad rows of a chunk: they fail it, are kept or are counted."""

from dataclasses import replace
from itertools import islice

import pyarrow as pa

from shared.core.bad_rows import TOLD, QuarantineRow, too_many_bad_rows
from shared.core.plan import ChunkStats
from shared.core.row_counts import RowCounts
from shared.errors import Detail, Problem
from shared.spec.models import Options
from worker_service.messages import encode
from worker_service.readers import BadRow, Batch

_KEEP = 'set options.on_bad_row to "quarantine" to keep such rows aside'
_PAGE_ROWS = 100


class BadRows:
    """Takes the batches of a chunk one by one, in file order.

    `quarantined` are the rows to keep. `lines` counts the line feeds of each extent begun, and those before
    the first one of a file, if rows are kept. `error` is that of a provisional bad row, which fails the job
    if no chunk widens a column. With *tells*, rows may be provisional: then the first of those to be counted
    are told too. *places*: with their lines, if they are told or fail the job.
    """

    def __init__(self, options: Options, *, tells: bool = False, places: bool = True) -> None:
        self._mode = options.on_bad_row
        self._most = options.most_bad_rows
        self._tells = tells and self._mode == "skip" and self._most is not None
        self._places = places
        self._read = self._count = self._provisional = 0
        self._counted = True
        self._told: list[Detail] = []
        self.error: Problem | None = None
        self.quarantined: list[QuarantineRow] = []
        self.lines: list[int] = []

    @property
    def kept(self) -> bool:
        return self._mode == "quarantine"

    @property
    def none(self) -> bool:
        return not self._count and self.error is None

    @property
    def counts(self) -> RowCounts:
        kept = len(self.quarantined)
        return RowCounts(read=self._read, quarantined=kept, skipped=self._count - kept)

    @property
    def stats(self) -> ChunkStats:
        lines = tuple(self.lines) if self.kept else ()
        return ChunkStats(lines, self._provisional, tuple(self._told), self.error)

    def begin(self, rows: int | None) -> None:
        """Begin the next extent, which claims to have *rows*, if its file says so."""
        self._read += rows or 0
        self._counted = rows is None
        self.lines.append(0)

    def take(self, batch: Batch) -> pa.Table:
        """The good rows; none behind a provisional bad row that fails the chunk.

        Raises BadRow and InvalidEncoding for the first bad row, or TooManyBadRows. Provisional bad rows raise
        nothing.
        """
        self._read += batch.records if self._counted else 0
        self._count += len(batch.bad.rows)
        self._provisional += len(batch.provisional)
        if self._mode == "fail":
            return self._without_fault(batch)
        if self._most is not None and self._count - self._provisional > self._most:
            told = islice(batch.bad_rows(batch.final), TOLD)
            raise too_many_bad_rows(self._most, [bad.detail() for bad in told])
        if self._tells and len(self._told) < TOLD:
            told = islice(batch.bad_rows(), TOLD - len(self._told))
            self._told += (self._placed(bad).detail() for bad in told)
        if self.kept:
            self.lines[-1] += batch.lines_before()
            self.quarantined += map(self._quarantined, islice(batch.bad_rows(), self._room))
            self.lines[-1] += batch.lines()
        return batch.table

    def _without_fault(self, batch: Batch) -> pa.Table:
        if len(batch.bad.rows) > len(batch.provisional):
            raise next(batch.bad_rows(batch.final)).error(_KEEP)
        if len(batch.provisional) and self.error is None:
            self.error = self._placed(next(batch.bad_rows())).error(_KEEP).problem()
        return batch.table if self.error is None else batch.table.slice(0, 0)

    def _placed(self, bad: BadRow) -> BadRow:
        """To count lines is worth a pass over the file only for a row that may be shown."""
        return bad if self._places else replace(bad, line=None)

    @property
    def _room(self) -> int | None:
        """How many more rows to keep: as many as the job may have. Others fail it, and are only counted."""
        return None if self._most is None else max(self._most, TOLD) - len(self.quarantined)

    def pages(self) -> list[bytes]:
        """The rows to keep as JSON arrays, which a parent reads one by one."""
        rows = self.quarantined
        return [encode(rows[at : at + _PAGE_ROWS]) for at in range(0, len(rows), _PAGE_ROWS)]

    def _quarantined(self, bad: BadRow) -> QuarantineRow:
        before = None if bad.lines_before is None else self.lines[-1] + bad.lines_before() + 1
        name = bad.fault.column
        return QuarantineRow(
            extent=len(self.lines) - 1,
            uri=bad.uri,
            byte=bad.byte,
            line_of_extent=before,
            row=bad.row,
            name=name if name is None else str(name),
            reason=bad.fault.reason,
            value=bad.fault.value,
            record=bad.record,
            truncated=bad.truncated,
        )
