"""The one place that decides about the bad rows of a chunk: they fail it, are kept or are counted."""

from itertools import islice

import pyarrow as pa

from shared.core.bad_rows import QuarantineRow, too_many_bad_rows
from shared.core.row_counts import RowCounts
from shared.spec.models import Options
from worker_service.messages import encode
from worker_service.readers import BadRow, Batch

_KEEP = 'set options.on_bad_row to "quarantine" to keep such rows aside'
_PAGE_ROWS = 100
_TOLD = 3
"""Bad rows in the error of a job that has too many."""


class BadRows:
    """Takes the batches of a chunk one by one, in file order.

    `quarantined` are the rows to keep. `lines` counts the line feeds of each extent begun, if rows are kept.
    """

    def __init__(self, options: Options) -> None:
        self._mode = options.on_bad_row
        self._most = options.most_bad_rows
        self._read = self._count = 0
        self._counted = True
        self.quarantined: list[QuarantineRow] = []
        self.lines: list[int] = []

    @property
    def kept(self) -> bool:
        return self._mode == "quarantine"

    @property
    def counts(self) -> RowCounts:
        bad = {"quarantined" if self.kept else "skipped": self._count}
        return RowCounts(read=self._read, **bad)

    def begin(self, rows: int | None, lines: int) -> None:
        """Begin the next extent, which claims to have *rows*, if its file says so.

        *lines* of its file lie before it, if it is the first of the file, else 0.
        """
        self._read += rows or 0
        self._counted = rows is None
        self.lines.append(lines)

    def take(self, batch: Batch) -> pa.Table:
        """The good rows. Raises BadRow and InvalidEncoding for the first bad row, or TooManyBadRows."""
        count = len(batch.bad.rows)
        self._read += batch.records if self._counted else 0
        self._count += count
        if count and self._mode == "fail":
            raise next(batch.bad_rows()).error(_KEEP)
        if self._most is not None and self._count > self._most:
            raise too_many_bad_rows(self._most, [bad.detail() for bad in islice(batch.bad_rows(), _TOLD)])
        if self.kept:
            self.quarantined += map(self._quarantined, batch.bad_rows())
            self.lines[-1] += batch.lines()
        return batch.table

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
