"""Batches by the native library, each the same as that of the plain path, which is `sift`.

A record with a wrong number of fields is bad. A row with a value that the library does not know is refused.
The value may be no literal, or bytes that are no text. The functions of the plain path decide about the
refused rows of a block, see `refused`. Their good values are put in place, and the bad rows taken out.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Array, Ints
from worker_service.native import library
from worker_service.readers.batch import Batch, Fault, Faults, passing_over
from worker_service.readers.csv.blocks import Block, LineFeeds
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.columns import Column, column, values
from worker_service.readers.csv.native.refused import Native, decided, refusals
from worker_service.readers.csv.native.rows import dropped, left_out, replaced
from worker_service.readers.csv.native.separators import (
    CARRIAGE_RETURN,
    NUL,
    Fields,
    Indices,
    Scratch,
    Separated,
    separated,
)
from worker_service.readers.csv.sift import Place, located, uneven

Plain = Callable[[Block], Batch]

_ONE_OF = 8
"""A block of which more records are refused than one of so many goes to the plain path as a whole."""
_LF, _CR = b"\n\r"
_PATIENCE = 2
"""After so many such blocks in turn the plain path reads the rest of the file."""


def batches(
    blocks: Iterator[Block], file: CsvFile, fields: list[Field], source: SourceSpec, plain: Plain
) -> Iterator[Batch]:
    """The batch of each of *blocks*: that of *plain*, or an equal one. Raises SchemaWidened."""
    fast, left = native(file, fields, source), _PATIENCE
    for block in blocks:
        batch = _batch(fast, block, plain) if fast and left else None
        left = left - 1 if batch is None else _PATIENCE
        yield plain(block) if batch is None else batch
        del block, batch  # or they would stay in memory while the next block is read


def native(file: CsvFile, fields: list[Field], source: SourceSpec) -> Native | None:
    """None where the plain path reads the whole file."""
    dialect, loaded = file.dialect, library()
    usual = len(dialect.delimiter) == 1 and not dialect.escape and not dialect.comment
    if loaded is None or not usual or dialect.encoding != "utf-8" or file.options.short_rows != "bad_row":
        return None
    numbers = {name: number for number, name in enumerate(file.names)}
    columns = [known for field in fields if (known := column(field, numbers[field.column], source))]
    return Native(file, fields, columns, source, loaded, Scratch()) if len(columns) == len(fields) else None


def _batch(native: Native, block: Block, plain: Plain) -> Batch | None:
    """None where the plain path has to read the block."""
    width = len(native.file.names)
    found = separated(block, native.file.dialect, width, native.library, native.scratch)
    if found is None or not found.first.size or (found.flags & NUL and not native.columns):
        return None
    records, odd, feeds = found.first.size, found.odd, found.feeds
    base = left_out(found.first, odd) if odd.size else np.ascontiguousarray(found.first)
    read, wrong = _columns(native, block, found, base)
    places = partial(located, block, native.file, LineFeeds(block), records)
    if not odd.size and not wrong:
        return Batch(pa.table(read), records, places, lines=lambda: feeds)
    refused = refusals(found, wrong)
    if (odd.size + refused.rows.size) * _ONE_OF > records:
        return None
    verdict = decided(native, block, found, base, refused)
    if verdict is None:
        return plain(block)  # a type has to hold the texts of all records
    gone = refused.rows[verdict.bad]
    for name, (rows, few) in verdict.good.items():
        read[name] = replaced(read[name], rows, few)
    table = pa.table({name: dropped(values, gone) for name, values in read.items()})
    bad = np.union1d(odd, refused.numbers[verdict.bad])
    widths = dict(zip(odd.tolist(), found.fields[odd].tolist(), strict=True))

    def fault(number: int) -> Fault:
        """Its cure takes a look at the whole block."""
        told = (
            uneven(widths[number], native.file)
            if number in widths
            else verdict.fault(int(np.searchsorted(refused.numbers, number)))
        )
        return told._replace(cure=lambda: plain(block).bad.fault(number).cure())

    known = partial(places, known=_places(block, found, bad))
    return Batch(table, records, known, Faults(bad, fault), partial(passing_over, bad), lambda: feeds)


def _columns(
    native: Native, block: Block, found: Separated, base: Indices
) -> tuple[dict[str, Array], dict[Column, Ints]]:
    """The columns by name, and the rows that each one refuses, if any, whose values mean nothing."""
    if not native.columns:
        return {"": pa.array(np.ones(base.size, np.bool_))}, {}
    data, masked = np.frombuffer(block.data, np.uint8), np.frombuffer(block.masked, np.uint8)
    quote, marks = native.file.dialect.quote, np.zeros(base.size, np.bool_)
    fields = Fields(
        data=data.ctypes.data,
        masked=masked.ctypes.data,
        limit=data.size,
        found=found.found.ctypes.data,
        base=base.ctypes.data,
        rows=base.size,
        refused=marks.ctypes.data,
        quote=quote[0] if quote else -1,
        flags=found.flags,
    )
    last = len(native.file.names) - 1
    read, wrong = dict[str, Array](), dict[Column, Ints]()
    for each in native.columns:
        fields.last = each.number == last
        read[each.field.name] = values(fields, each, native.library)
        if (rows := np.flatnonzero(marks)).size:
            wrong[each], marks[rows] = rows, False
    return read, wrong


def _places(block: Block, found: Separated, numbers: Ints) -> dict[int, Place]:
    """Those of some records by their *numbers*.

    A line feed ends a record, or an empty line, or lies within quotes. If there are as many as records, each
    one ends a record.
    """
    ended, feeds, places = block.masked[block.size - 1] == _LF, LineFeeds(block), dict[int, Place]()
    are_lines = found.feeds == found.first.size - (not ended)
    for number, (start, behind) in zip(numbers.tolist(), found.spans(numbers).tolist(), strict=True):
        stop = behind - 1
        if found.flags & CARRIAGE_RETURN and stop > start and block.data[stop - 1] == _CR:
            stop -= 1
        lines = partial(int, number) if are_lines else partial(feeds.before, start)
        places[number] = Place(start, stop, lines)
    return places
