"""Sifts the records of a block: the good ones become a typed table, the others bad rows.

A record is bad if it has too few or too many fields. Else it is if a used column has bytes that are no text,
or if a value is no literal of a declared type. The first fault counts, and of several columns the first. In a
good record a value of an undeclared column widens the column instead.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Mask
from worker_service.readers import literals
from worker_service.readers.batch import RECORD_BYTES, BadRow, Batch, Fault, Faults, readable, shown
from worker_service.readers.csv.blocks import Block, LineFeeds, count_records
from worker_service.readers.csv.faults import set_encoding, widened
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.tokenizer import TEXT, column, nulled, tokenize
from worker_service.readers.csv.tokens import Odd, Tokens
from worker_service.readers.csv.unreadable import field_span, not_utf8, wrong_byte
from worker_service.readers.literals import Column

_AT_A_TIME = 100
_LF = b"\n"[0]


class Read(NamedTuple):
    """A field of a block. Its values are null in the rows that are `wrong`, and so bad.

    And in those that need a `wider` type. None: there is no such row.
    """

    text: Column
    values: Column
    wrong: Mask | None = None
    wider: Mask | None = None


class Place(NamedTuple):
    """Where the bytes of a record lie in its block, without the line end. `lines` counts those before it."""

    start: int
    stop: int
    lines: Callable[[], int]


def sifted(
    block: Block, file: CsvFile, fields: list[Field], types: Mapping[str, pa.DataType], source: SourceSpec
) -> Batch:
    """The batch of *block*, whose columns are parsed as *types*. Raises SchemaWidened."""
    tokens = tokenize(block, file, types)
    batch = _untyped(block, file, tokens)
    if not fields:
        return batch
    read = {field: _read(tokens.table, field, block, source) for field in fields}
    wrong = either(each.wrong for each in read.values())
    _check_types(block, file, tokens, read, wrong, source)
    batch = replace(batch, table=pa.table({field.name: each.values for field, each in read.items()}))
    if wrong is None:
        return batch
    return batch.without(wrong, partial(_misfit, block, file, tokens, read, source))


def _untyped(block: Block, file: CsvFile, tokens: Tokens) -> Batch:
    """The batch without its columns: the odd records are bad rows."""
    feeds, rows = LineFeeds(block), tokens.table.num_rows
    odd = {record.number: record for record in tokens.odd}
    numbers, records = np.fromiter(odd, np.int64), count_records(block, file, tokens.ragged)
    return Batch(
        pa.table({"": pa.array(np.ones(rows, bool))}),
        records,
        partial(located, block, file, feeds, records),
        Faults(numbers, lambda number: _odd(odd[number], block, file)),
        tokens.numbers,
        feeds.all,
    )


def either(masks: Iterable[Mask | None]) -> Mask | None:
    """The rows of any mask; None: no row."""
    marked = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(marked) if marked else None


def _read(table: pa.Table, field: Field, block: Block, source: SourceSpec) -> Read:
    return judged(column(table, field.column), field, block, source)


def judged(text: Column, field: Field, block: Block, source: SourceSpec) -> Read:
    """The *text* of some records of *block*, null where it is not quoted and a spelling of null."""
    if field.type.kind == "string":
        return Read(text, literals.converted(text, field, source).values)
    text = text.cast(TEXT) if pa.types.is_dictionary(text.type) else text
    if block.doubled or (block.quoted and source.csv.null_values):
        text = nulled(text, source.csv)
    values, misfits = _converted(text, field, source)
    if misfits is None or field.declared:
        return Read(text, values, misfits)
    wrong = np.flatnonzero(misfits)[not_utf8(text.filter(pa.array(misfits)))]
    bad = np.isin(np.arange(len(text)), wrong)
    return Read(text, values, bad if wrong.size else None, misfits)


def _converted(text: Column, field: Field, source: SourceSpec) -> literals.Converted:
    try:
        return literals.converted(text, field, source)
    except pa.ArrowInvalid:  # some functions on texts refuse bytes that are not UTF-8
        wrong = np.isin(np.arange(len(text)), not_utf8(text))
        if not wrong.any():
            raise
        utf8 = pc.if_else(pa.array(wrong), pa.scalar(None, TEXT), text)
        values, misfits = literals.converted(utf8, field, source)
        return literals.Converted(values, either([misfits, wrong]))


def _check_types(
    block: Block,
    file: CsvFile,
    tokens: Tokens,
    read: Mapping[Field, Read],
    wrong: Mask | None,
    source: SourceSpec,
) -> None:
    """Raise SchemaWidened if a good row has a value that needs a wider type."""
    good = np.ones(tokens.table.num_rows, bool) if wrong is None else ~wrong
    texts = {
        field: each.text.filter(pa.array(good))
        for field, each in read.items()
        if each.wider is not None and (each.wider & good).any()
    }
    if texts:
        raise widened(block, file, texts, tokens.numbers(np.flatnonzero(good)), source)


def uneven(fields: int, file: CsvFile) -> Fault:
    """The fault of a record that has so many *fields*, but not as many as the header."""
    return Fault(f"{fields} field{'s' * (fields != 1)} instead of {len(file.names)}")


def _odd(record: Odd, block: Block, file: CsvFile) -> Fault:
    if record.column is None:
        return uneven(record.fields or 0, file)
    [span] = file.spans(block.masked, [record.number])
    first, last = field_span(block.masked, file.dialect, span, record.column)
    raw = block.data[first:last]
    at = wrong_byte(raw, file.dialect.encoding)
    octet, byte = raw[at], block.offset + first + at
    name = file.names[record.column] if record.column < len(file.names) else record.column + 1
    reason = (
        f"byte {byte}: 0x{octet:02x} is not {file.dialect.encoding}; {set_encoding(file.dialect.encoding)}"
    )
    value = shown(raw, file.dialect.encoding)
    if octet:
        return Fault(reason, name, value, unreadable=True)
    cure = (
        ""
        if raw.strip(b"\0")
        else f"if it stands for null, add {json.dumps(raw.decode())} to csv.null_values"
    )
    return Fault(f"a NUL byte at byte {byte}", name, value, cure=lambda: cure)


def _misfit(
    block: Block, file: CsvFile, tokens: Tokens, read: Mapping[Field, Read], source: SourceSpec, row: int
) -> Fault:
    """The fault of the first field that is wrong in a row."""
    field, text = next(
        (field, each.text) for field, each in read.items() if each.wrong is not None and each.wrong[row]
    )
    raw = text[row].as_buffer().to_pybytes()
    try:
        raw.decode()
    except UnicodeDecodeError:
        [number] = tokens.numbers(np.array([row])).tolist()
        return _odd(Odd(number, column=file.names.index(field.column)), block, file)
    return misfit(raw, field, source, lambda: _utf8(text))


def misfit(raw: bytes, field: Field, source: SourceSpec, text: Callable[[], Column]) -> Fault:
    """The fault of *raw*, a text in UTF-8 that is no literal of *field*; *text* is that of its column."""
    value = shown(raw, "utf-8")
    found = literals.refusal(value, field, source, text)
    return Fault(found.reason, field.column, value, cure=found.cure)


def _utf8(text: Column) -> Column:
    wrong = not_utf8(text)
    return text.filter(pa.array(~np.isin(np.arange(len(text)), wrong))) if wrong.size else text


def _spans(
    block: Block, file: CsvFile, feeds: LineFeeds, records: int, numbers: Sequence[int]
) -> list[tuple[int, int]]:
    """The bytes of a few of the *records*, by ascending numbers from 0.

    Without carriage returns each record ends with a line feed of its own. So if there are as many of both,
    records are lines.
    """
    ended = block.masked[block.size - 1] == _LF
    if feeds.all() == records - (not ended) and b"\r" not in block:
        return [feeds.line(number) for number in numbers]
    return file.spans(block.masked, numbers)


def located(
    block: Block,
    file: CsvFile,
    feeds: LineFeeds,
    records: int,
    found: Iterable[tuple[int, Fault]],
    known: Mapping[int, Place] = MappingProxyType({}),
) -> Iterator[BadRow]:
    """The bad rows of the records *found*, by ascending numbers; of some the places may be *known*."""
    left = iter(found)
    while some := list(islice(left, _AT_A_TIME)):
        numbers = [number for number, _ in some]
        places = (
            [known[number] for number in numbers]
            if known.keys() >= set(numbers)
            else [
                Place(*span, partial(feeds.before, span[0]))
                for span in _spans(block, file, feeds, records, numbers)
            ]
        )
        for (start, stop, lines), (_, fault) in zip(places, some, strict=True):
            text, byte = _beginning(block.data[start:stop], file.dialect.encoding), block.offset + start
            yield BadRow(
                uri=file.uri,
                fault=fault,
                byte=byte,
                record=readable(text, file.dialect.encoding),
                truncated=len(text) < stop - start,
                offsets=file.content.offsets,
                line=partial(file.line, byte),
                lines_before=lines,
            )


def _beginning(raw: bytes, encoding: str) -> bytes:
    """At most RECORD_BYTES of *raw*, whole characters in UTF-8."""
    end = RECORD_BYTES
    if len(raw) <= end:
        return raw
    while encoding == "utf-8" and end > RECORD_BYTES - 4 and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]
