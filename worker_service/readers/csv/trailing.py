"""Bad records that end a file, as totals and notes do: the advice is to pass over them."""

from dataclasses import replace
from itertools import pairwise

from worker_service.readers.batch import Batch, Fault, Faults
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import LINE_END
from worker_service.readers.csv.file import CsvFile

_MOST = 8
"""Records that may be a footer."""
_BUFFER = 1024 * 1024


def with_footer_told(batch: Batch, block: Block, file: CsvFile, start: int) -> Batch:
    """*batch*, in which bad records of another width at the end of the file are told with `skip_footer`.

    The first record of the file, at *start*, belongs to no footer.
    """
    rows = batch.bad.rows
    if not rows.size or int(rows[-1]) + 1 != batch.records:
        return batch
    first = int(rows[-1])
    for before, last in reversed(list(pairwise(rows[-_MOST - 1 :].tolist()))):
        if before + 1 != last:
            break
        first = before
    found = batch.bad

    def fault(number: int) -> Fault:
        told = found.fault(number)
        of_width = told.column is None and not told.unreadable
        return (
            told._replace(cure=lambda: _cure(number, block, file, start))
            if of_width and number >= first
            else told
        )

    return replace(batch, bad=Faults(rows, fault))


def _cure(number: int, block: Block, file: CsvFile, first: int) -> str:
    """Empty where records follow the block, and for the first record."""
    if any(file.content.buffers(_BUFFER, block.offset + block.size)):
        return ""
    [(start, _)] = file.spans(block.masked, [number])
    if block.offset + start == first:
        return ""
    tail = block.data[start : block.size]
    ends = list(LINE_END.finditer(tail))
    lines = len(ends) + (not ends or ends[-1].end() < len(tail)) + file.options.skip_footer
    return f"if no records begin there, set csv.skip_footer to {lines}"
