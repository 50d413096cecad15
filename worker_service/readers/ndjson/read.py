"""Reads an extent of an NDJSON file as batches, one for each block of lines.

The native library reads the lines of a block, and those that it refuses are read one by one. Where it cannot
be used, Arrow reads many lines at once, and msgspec those that have other values than Arrow wants. Lines that
neither reads are halved until few are left, and these are read one by one.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shared.core.plan import Extent
from shared.errors import SchemaWidened
from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, Schema
from worker_service.arrow import Array, Ints, arrow_type
from worker_service.readers import literals
from worker_service.readers.batch import RECORD_BYTES, BadRow, Batch, Fault, Faults, readable, shown
from worker_service.readers.bytes.ahead import ahead
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.literals import Column, Converted
from worker_service.readers.ndjson.content import Block, Content, blocks, content_of, start_of
from worker_service.readers.ndjson.exact import BadLine, Tag, Values, Wanted, values_of
from worker_service.readers.ndjson.native import LineReader, line_reader
from worker_service.readers.ndjson.quick import Layout, columns_of, layout_of
from worker_service.readers.ndjson.raws import Picker, picker_of, texts_of
from worker_service.readers.ndjson.values import converted, converted_texts, wider

_FIRST = 64
"""Lines that tell how the others are read."""
_LOOKED = 1000
"""Lines that a cure is found from."""
_FEW = 32
"""Lines that are not worth another try with Arrow."""
_ONE_OF = 8
"""A block of which the library refuses more than one line of so many is read without it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The columns that are read of each line, and how."""

    content: Content
    fields: Sequence[Field]
    source: SourceSpec
    wanted: Wanted

    def located(self, block: Block, found: Iterable[tuple[int, Fault]]) -> Iterator[BadRow]:
        starts, ends = block.bounds
        for number, fault in found:
            start, end = int(starts[number]), int(ends[number])
            yield BadRow(
                uri=self.content.uri,
                fault=fault,
                byte=block.offset + start,
                record=readable(block.data[start : min(end, start + RECORD_BYTES)], "utf-8"),
                truncated=end - start > RECORD_BYTES,
                offsets=self.content.offsets,
                line=partial(self.content.line, block.offset + start),
                lines_before=partial(block.data.count, b"\n", 0, start),
            )


class Ways(NamedTuple):
    """How many lines are read at once: by Arrow, and where it refuses them by msgspec; None for neither."""

    layout: Layout | None
    picker: Picker | None


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines of a block: the numbers of those that are records, and their columns, in the fields' order.

    `bad` are the lines that are no records.
    """

    numbers: Ints
    columns: list[Converted]
    bad: dict[int, Fault]


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """See `readers.batches`; *batch_bytes* are bytes of the content. Raises errors.BadRow for a huge line."""
    content = content_of(file, source)
    fields = [schema[name] for name in columns]
    plain = source.model_copy(update={"csv": CsvOptions()})
    reading = Reading(content, fields, plain, Wanted({field.column for field in fields}))
    if content.streamed:
        found = ahead(blocks(content, start_of(content), extent.end, batch_bytes))
    else:
        found = blocks(content, extent.start, extent.end, batch_bytes)
    native, ways = line_reader(fields, plain), Ways(None, None)
    with closing(found):
        for block in found:
            batch = _natively(block, reading, native) if native else None
            if batch is None and ways == Ways(None, None):
                ways = _ways(block, reading)
            yield batch or _batch(block, reading, _all_lines(block, reading, ways))
            del block, batch  # or they would stay in memory while the next ones are read


def _ways(block: Block, reading: Reading) -> Ways:
    _, records, _ = _records(block, 0, _FIRST, reading.wanted)
    tags: dict[str, set[Tag]] = {}
    for record in records:
        for name, pair in record.items():
            if pair is not None:
                tags.setdefault(name, set()).add(pair[0])
    seen = {name for record in _records(block, 0, _FIRST, Wanted())[1] for name in record}
    flat = {name for name in tags if "." in name and f'"{name}"'.encode() in block.data}
    layout = layout_of(reading.fields, reading.source, tags, flat)
    return Ways(layout, picker_of({field.column for field in reading.fields}, flat, seen))


def _batch(block: Block, reading: Reading, found: Iterable[Lines]) -> Batch:
    tables: list[pa.Table] = []
    kept: list[Ints] = []
    bad: dict[int, Fault] = {}
    misfits: dict[int, Field] = {}
    for lines in found:
        good = np.ones(lines.numbers.size, bool)
        bad |= lines.bad
        for field, (_, wrong) in zip(reading.fields, lines.columns, strict=True):
            for at in np.flatnonzero(wrong) if wrong is not None else ():
                good[at] = False
                misfits.setdefault(int(lines.numbers[at]), field)
        table = _table([column.values for column in lines.columns], good.size, reading)
        tables.append(table if good.all() else table.filter(pa.array(good)))
        kept.append(lines.numbers[good])

    def fault(number: int) -> Fault:
        return bad[number] if number in bad else _misfit(block, number, misfits[number], reading)

    nothing = [pa.array([], arrow_type(field.type)) for field in reading.fields]
    numbers = np.concatenate([np.empty(0, np.int64), *kept])
    wrong_ones = np.array(sorted(bad | misfits), np.int64)
    return Batch(
        table=pa.concat_tables(tables) if tables else _table(nothing, 0, reading),
        records=numbers.size + wrong_ones.size,
        located=partial(reading.located, block),
        bad=Faults(wrong_ones, fault),
        numbers=numbers.take,
        lines=block.line_feeds,
    )


def _table(columns: list[Array], rows: int, reading: Reading) -> pa.Table:
    values = {field.name: column for field, column in zip(reading.fields, columns, strict=True)}
    return pa.table(values or {"": pa.array(np.ones(rows, bool))})


def _natively(block: Block, reading: Reading, native: LineReader) -> Batch | None:
    """None where the library cannot be used, and where some type has to hold the values of all lines."""
    read = native.read(block)
    if read is None or read.refused.size * _ONE_OF > read.rows:
        return None
    if not read.refused.size:
        table = _table(read.columns, read.rows, reading)
        return Batch(table, read.rows, partial(reading.located, block), lines=block.line_feeds)
    found, columns = list[Lines](), [_decoded(column) for column in read.columns]
    try:
        for before, end in pairwise([-1, *read.refused.tolist(), read.rows]):
            first = before + 1
            sliced = [Converted(column.slice(first, end - first)) for column in columns]
            found.append(Lines(np.arange(first, end), sliced, {}))
            if end < read.rows:
                found.append(_one_by_one(block, end, end + 1, reading))
    except SchemaWidened:
        return None
    return _batch(block, reading, found)


def _decoded(column: Array) -> Array:
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def _all_lines(block: Block, reading: Reading, ways: Ways) -> Iterator[Lines]:
    waiting = [(0, block.bounds[0].size)]
    while waiting:
        first, end = waiting.pop()
        if first == end:
            continue
        found = _quickly(block, slice(first, end), reading, ways)
        if found is not None:
            widened = any(
                wrong is not None and not field.declared
                for field, (_, wrong) in zip(reading.fields, found, strict=True)
            )
            yield (
                _one_by_one(block, first, end, reading)
                if widened
                else Lines(np.arange(first, end), found, {})
            )
        elif ways != Ways(None, None) and end - first > _FEW:
            middle = (first + end) // 2
            waiting += [(middle, end), (first, middle)]
        else:
            yield _one_by_one(block, first, end, reading)


def _quickly(block: Block, lines: slice, reading: Reading, ways: Ways) -> list[Converted] | None:
    """The columns of *lines* without a look at each one; None if some of them need that."""
    columns = columns_of(block, lines, ways.layout) if ways.layout else None
    if columns is not None:
        return [_of_text(columns, field, reading) for field in reading.fields]
    texts = texts_of(block, lines, ways.picker) if ways.picker else None
    if texts is None:
        return None
    return [converted_texts(texts[field.column], field, reading.source) for field in reading.fields]


def _of_text(found: dict[str, Column], field: Field, reading: Reading) -> Converted:
    values = found[field.column]
    if field.declared and pa.types.is_string(values.type):
        return literals.converted(values, field, reading.source)
    return Converted(values)


def _one_by_one(block: Block, first: int, end: int, reading: Reading) -> Lines:
    """Raises SchemaWidened for a value that an undeclared column cannot hold, in a record that is sound."""
    numbers, records, bad = _records(block, first, end, reading.wanted)
    columns = [converted(records, field, reading.source) for field in reading.fields]
    sound = np.ones(len(records), bool)
    for field, (_, misfits) in zip(reading.fields, columns, strict=True):
        if field.declared and misfits is not None:
            sound &= ~misfits
    widened: dict[str, str] = {}
    told: list[str] = []
    for field, (_, misfits) in zip(reading.fields, columns, strict=True):
        if not field.declared and misfits is not None and (misfits & sound).any():
            at = int(np.flatnonzero(misfits & sound)[0])
            widened[field.name] = wider(
                [r for r, good in zip(records, sound, strict=True) if good], field, reading.source
            )
            byte = block.offset + int(block.bounds[0][numbers[at]])
            told.append(f"{field.column!r} has {_text(records[at], field)!r} in the record at byte {byte}")
    if widened:
        raise SchemaWidened(f"{', '.join(told)} of {reading.content.uri}", widened)
    return Lines(np.array(numbers, np.int64), columns, bad)


def _records(
    block: Block, first: int, end: int, wanted: Wanted
) -> tuple[list[int], list[Values], dict[int, Fault]]:
    """Numbers and values of the records among some lines, and the lines that are no records."""
    numbers: list[int] = []
    records: list[Values] = []
    bad: dict[int, Fault] = {}
    for no, line in block.lines(first, end):
        try:
            records.append(values_of(line, wanted))
            numbers.append(no)
        except BadLine as error:
            bad[no] = error.fault
    return numbers, records, bad


def _misfit(block: Block, number: int, field: Field, reading: Reading) -> Fault:
    [(_, line)] = block.lines(number, number + 1)
    value = _text(values_of(line, reading.wanted), field)
    found = literals.refusal(value, field, reading.source, lambda: _some_texts(block, number, field, reading))
    return Fault(found.reason, field.column, value, cure=found.cure)


def _some_texts(block: Block, number: int, field: Field, reading: Reading) -> Column:
    """The texts of a field in the line of that number and in lines before it."""
    _, records, _ = _records(block, max(number + 1 - _LOOKED, 0), number + 1, reading.wanted)
    return pa.array(
        [pair and pair[1] for record in records for pair in (record.get(field.column),)], pa.string()
    )


def _text(record: Values, field: Field) -> str:
    pair = record.get(field.column)
    return shown(pair[1].encode(), "utf-8") if pair else ""
