"""Batches by the native library, each the same as that of the plain path, which is `sift`.

A record that the library does not take as it is, is refused. It may have a wrong number of fields, a value
that is no literal, or bytes that are no text. The refused records of a block are gathered into a small block
of their own, and the plain path decides about them. Their good rows are put back at their places.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from shared.errors import SchemaWidened
from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Array, as_array
from worker_service.native import Library, library
from worker_service.readers.batch import NO_FAULTS, Batch, Fault, Faults, passing_over
from worker_service.readers.csv.bits import Octets
from worker_service.readers.csv.blocks import Block, LineFeeds
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.columns import Column, column, values
from worker_service.readers.csv.native.separators import (
    NUL,
    Fields,
    Indices,
    Ints,
    Scratch,
    Separated,
    separated,
)
from worker_service.readers.csv.sift import located, sifted
from worker_service.readers.csv.tokenizer import BINARY, TEXT

Plain = Callable[[Block], Batch]

_ONE_OF = 8
"""A block of which more records are refused than one of so many goes to the plain path as a whole."""
_PATIENCE = 2
"""After so many such blocks in turn the plain path reads the rest of the file."""


@dataclass(frozen=True, slots=True)
class Native:
    """How the library reads `columns` of a file; `fields` are theirs."""

    file: CsvFile
    fields: list[Field]
    columns: list[Column]
    source: SourceSpec
    library: Library
    scratch: Scratch


@dataclass(frozen=True, slots=True)
class Refused:
    """The refused records of a block: their numbers, ascending, their bytes [start, stop), and fields."""

    numbers: Ints
    spans: Ints
    fields: Indices


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
    rows = None if found.regular else np.flatnonzero(found.fields == width)
    base = np.ascontiguousarray(found.first if rows is None else found.first[rows])
    marks = np.zeros(base.size, np.uint8)
    read = _columns(native, block, found, base, marks)
    records, feeds = found.first.size, found.feeds
    places = partial(located, block, native.file, LineFeeds(block), records)
    wrong = np.flatnonzero(marks)
    if rows is None and not wrong.size:
        return Batch(pa.table(read), records, places, lines=lambda: feeds)
    gone = np.ones(records, np.bool_)
    gone[np.flatnonzero(marks == 0) if rows is None else rows[marks == 0]] = False
    numbers = np.flatnonzero(gone)
    if numbers.size * _ONE_OF > records:
        return None
    refused = Refused(numbers, np.minimum(found.spans(numbers), block.size), found.fields[numbers])
    try:
        few = _sifted(_gathered(block, refused), native)
    except SchemaWidened:
        return plain(block)  # its type has to hold the texts of all records
    good = numbers[few.numbers(np.arange(few.table.num_rows))]
    at = good if rows is None else np.searchsorted(rows, good)
    table = {name: _merged(values, wrong, as_array(few.table[name]), at) for name, values in read.items()}
    bad = numbers[few.bad.rows]
    faults = Faults(bad, partial(_fault, native, block, plain, refused, few)) if bad.size else NO_FAULTS
    return Batch(pa.table(table), records, places, faults, partial(passing_over, bad), lambda: feeds)


def _columns(
    native: Native, block: Block, found: Separated, base: Indices, marks: Octets
) -> dict[str, Array]:
    """The columns by name. Sets *marks* of the rows that are refused, whose values mean nothing."""
    if not native.columns:
        return {"": pa.array(np.ones(base.size, np.bool_))}
    data, masked = np.frombuffer(block.data, np.uint8), np.frombuffer(block.masked, np.uint8)
    quote = native.file.dialect.quote
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
    read = {}
    for each in native.columns:
        fields.last = each.number == last
        read[each.field.name] = values(fields, each, native.library)
    return read


def _gathered(block: Block, refused: Refused) -> Block:
    """The refused records of *block* alone; the offset is right for the first one."""
    spans = refused.spans.tolist()
    data = b"".join([block.data[start:stop] for start, stop in spans])
    masked = (
        data if block.masked is block.data else b"".join([block.masked[start:stop] for start, stop in spans])
    )
    delimiters = int(refused.fields.sum()) - len(spans)
    return Block(block.offset + spans[0][0], data, masked, len(data), delimiters, block.quoted, block.doubled)


def _sifted(block: Block, native: Native) -> Batch:
    strings = {field.column for field in native.fields if field.type.kind == "string"}
    names = [field.column for field in native.fields] or [native.file.names[0]]
    types = {name: TEXT if name in strings else BINARY for name in names}
    return sifted(block, native.file, native.fields, types, native.source)


def _merged(values: Array, wrong: Ints, few: Array, at: Ints) -> Array:
    """*values* without the rows *wrong*, but with those of *few*, in turn, for the ones that are *at*."""
    if not wrong.size:
        return values
    taken = dict(zip(at.tolist(), range(at.size), strict=True))
    parts, start = [], 0
    for row in wrong.tolist():
        parts.append(values.slice(start, row - start))
        if row in taken:
            parts.append(few.slice(taken[row], 1))
        start = row + 1
    return pa.concat_arrays([*parts, values.slice(start)])


def _fault(native: Native, block: Block, plain: Plain, refused: Refused, few: Batch, number: int) -> Fault:
    """The fault of a bad record. Its cure takes a look at the whole block."""
    at = int(np.searchsorted(refused.numbers, number))
    start, stop = refused.spans[at].tolist()
    fault = few.bad.fault(at)
    if not _is_text(block.data[start:stop]):  # the fault tells a byte of the file
        here = slice(at, at + 1)
        one = Refused(refused.numbers[here], refused.spans[here], refused.fields[here])
        fault = _sifted(_gathered(block, one), native).bad.fault(0)
    return fault._replace(cure=lambda: plain(block).bad.fault(number).cure())


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in raw
