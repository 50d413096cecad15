"""Finds records that cannot be read: those with NUL, which Postgres does not hold, or with no text."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from worker_service.arrow import string_bytes
from worker_service.readers.csv.bits import Octets
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import MASK, Positions, delimiters
from worker_service.readers.csv.tokens import Odd
from worker_service.readers.literals import Column

Span = tuple[int, int]


def undecodable(block: Block, file: CsvFile) -> Iterator[tuple[Odd, tuple[int, int]]]:
    """Every record with bytes that are no text in the encoding, and its span up to the next record.

    Comments may hold such bytes.
    """
    found = file.records(block.exact().masked)
    whole, at = memoryview(block.data), 0
    while at < block.size:
        try:
            str(whole[at : block.size], file.dialect.encoding)
        except UnicodeDecodeError as error:
            wrong = at + error.start
        else:
            return
        number = int(np.searchsorted(found.starts, wrong, side="right")) - 1
        at = int(found.starts[number + 1]) if number + 1 < found.starts.size else block.size
        if number >= 0 and wrong < found.stops[number]:
            start, fields = int(found.starts[number]), int(found.fields[number])
            column = int(file.records(block.masked[start:wrong] + MASK).fields[-1]) - 1
            yield Odd(number, fields if fields != len(file.names) else None, column), (start, at)


def uneven(block: Block, file: CsvFile) -> Iterator[tuple[Odd, Span]]:
    """Every record of too few or too many fields, and its span up to the next record."""
    found = file.records(block.exact().masked)
    ends = [*found.starts[1:].tolist(), block.size]
    for number in np.flatnonzero(found.fields != len(file.names)).tolist():
        yield Odd(number, int(found.fields[number])), (int(found.starts[number]), ends[number])


def wrong_rows(table: pa.Table, file: CsvFile, find: Callable[[Column], Positions]) -> dict[int, Positions]:
    """For each column by its number: the rows that *find* finds in its text, if there are any."""
    found: dict[int, Positions] = {}
    for name in table.column_names:
        text = table.column(name).combine_chunks()
        text = text.dictionary_decode() if pa.types.is_dictionary(text.type) else text.view(pa.string())
        rows = find(text)
        if rows.size:
            found[file.names.index(name)] = rows
    return found


def with_nul(text: Column) -> Positions:
    bounds, octets = _octets(text)
    return _rows(np.flatnonzero(octets == 0), bounds)


def not_utf8(text: Column) -> Positions:
    """The rows whose bytes are not UTF-8.

    All texts are decoded in one go, as long as none begins within a character. A row that does, and the one
    before it, are looked at alone.
    """
    bounds, octets = _octets(text)
    filled = np.flatnonzero(np.diff(bounds))
    torn = np.flatnonzero(octets[bounds[filled]] & 0xC0 == 0x80)
    alone = filled[np.union1d(torn, np.maximum(torn - 1, 0))]
    wrong = [int(row) for row in alone if not _is_utf8(octets[bounds[row] : bounds[row + 1]])]
    row = 0
    while (at := _first_not_utf8(octets[bounds[row] :])) is not None:
        [found] = _rows(np.array([bounds[row] + at]), bounds)
        wrong.append(int(found))
        row = int(found) + 1
    return np.unique(np.array(wrong, np.int64))


def field_span(masked: bytes, dialect: Dialect, span: Span, column: int) -> Span:
    """The bytes of a field, the *column*'s by its number from 0, of the record at *span*."""
    start, stop = span
    ends = delimiters(masked[start:stop], dialect)
    first = start + (int(ends[column - 1]) + len(dialect.delimiter) if column else 0)
    return first, start + int(ends[column]) if column < ends.size else stop


def wrong_byte(field: bytes, encoding: str) -> int:
    """The first byte that is NUL or no text in *encoding*."""
    nul = field.find(b"\0")
    try:
        field.decode(encoding)
    except UnicodeDecodeError as error:
        return min(error.start, nul) if nul >= 0 else error.start
    return max(nul, 0)


def _octets(text: Column) -> tuple[Positions, Octets]:
    bounds, octets = string_bytes(text)
    return bounds.astype(np.int64) - bounds[0], octets[bounds[0] : bounds[-1]]


def _rows(at: Positions, bounds: Positions) -> Positions:
    return np.unique(np.searchsorted(bounds, at, side="right") - 1)


def _first_not_utf8(octets: Octets) -> int | None:
    try:
        octets.tobytes().decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def _is_utf8(octets: Octets) -> bool:
    return _first_not_utf8(octets) is None
