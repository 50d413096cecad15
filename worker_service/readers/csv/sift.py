"""Sifts the records of a block: the good ones become a typed table, the others bad rows.

A record is bad if it has too few or too many fields, or text in a used column that is no text in the
encoding, or a value that is no literal of a declared type. The first of these faults counts, and of several
columns the first. In a good record a value of an undeclared column widens the column instead.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import errors
from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Ints, Mask
from worker_service.readers import literals
from worker_service.readers.batch import RECORD_BYTES, BadRow, Batch, Fault, Faults, readable, shown
from worker_service.readers.csv.blocks import Block, LineFeeds, count_records
from worker_service.readers.csv.faults import SET_ENCODING, widened
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.numbered import spans
from worker_service.readers.csv.tokenizer import BINARY, ENCODED, TEXT, column, nulled, tokenize
from worker_service.readers.literals import Column

_WAYS = 32
_AT_A_TIME = 100
_NUL = b"\0"


@dataclass(frozen=True, slots=True)
class Parsed:
    """`table` has the raw text of the records that have as many fields as there are names.

    Some may be unreadable, where a column was to be parsed as text and is BINARY. `ragged` has the other
    records: number, from 0, to how many fields. `records` counts all.
    """

    table: pa.Table
    ragged: Mapping[int, int]
    records: int


def parsed(block: Block, file: CsvFile, types: Mapping[str, pa.DataType]) -> Parsed:
    """*block* in the columns of *types*; with `csv.short_rows` records with too few fields are padded."""
    table, ragged = _tokenized(block, file, types)
    if file.options.short_rows == "null":
        short = {number: fields for number, fields in ragged.items() if fields < len(file.names)}
        if short:
            block = _padded(block, file, short)
            table, ragged = _tokenized(block, file, types)
    return Parsed(table, ragged, count_records(block, file, ragged))


def _tokenized(
    block: Block, file: CsvFile, types: Mapping[str, pa.DataType]
) -> tuple[pa.Table, dict[int, int]]:
    """The parser stops at text that is not UTF-8, in a column of text and in a ragged record."""
    ragged: dict[int, int] = {}
    plain = dict.fromkeys(types, BINARY)
    if block.data.find(_NUL, 0, block.size) < 0:
        with suppress(pa.ArrowInvalid), _quiet():
            return tokenize(block, file, types, ragged), ragged
    with suppress(pa.ArrowInvalid), _quiet():
        return tokenize(block, file, plain, ragged), ragged
    even, ragged = _even(block.exact(), file)
    try:
        return tokenize(even, file, plain, {}), ragged
    except pa.ArrowInvalid as error:
        told = f"the parser refuses the records from here to byte {block.offset + block.size}: {error}"
        raise errors.BadRow(f"{file.located(block.offset)}: {told}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The parser cannot hand over a ragged record that is not UTF-8, and says so on standard error."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _even(block: Block, file: CsvFile) -> tuple[Block, dict[int, int]]:
    """*block* with those records only that have as many fields as there are names; and the others."""
    found = file.records(block.masked)
    uneven = np.flatnonzero(found.fields != len(file.names))
    lines = [
        (block.data[start:stop] + b"\n", block.masked[start:stop] + b"\n")
        for start, stop in np.delete(np.stack([found.starts, found.stops], 1), uneven, 0).tolist()
    ]
    data, masked = (b"".join(part) for part in zip(*lines, strict=True)) if lines else (b"", b"")
    kept = replace(block, data=data, masked=masked, size=len(data))
    return kept, dict(zip(uneven.tolist(), found.fields[uneven].tolist(), strict=True))


def _padded(block: Block, file: CsvFile, short: Mapping[int, int]) -> Block:
    """*block* with as many delimiters at the end of each *short* record as it has too few."""
    block = block.exact()
    places = spans(block.masked, file.dialect, sorted(short), keep_empty=len(file.names) == 1)
    missing = [len(file.names) - short[number] for number in sorted(short)]
    data, masked, at = list[bytes](), list[bytes](), 0
    for stop, count in zip(places[:, 1].tolist(), missing, strict=True):
        data += [block.data[at:stop], file.dialect.delimiter * count]
        masked += [block.masked[at:stop], file.dialect.delimiter * count]
        at = stop
    data.append(block.data[at:])
    masked.append(block.masked[at:])
    whole = b"".join(data)
    return replace(
        block,
        data=whole,
        masked=b"".join(masked),
        size=len(whole),
        delimiters=block.delimiters + sum(missing),
    )


class Read(NamedTuple):
    """A field of a block. Its values are null in the rows that are `wrong`, and so bad.

    And in those that need a `wider` type. None: there is no such row.
    """

    text: Column
    values: Column
    wrong: Mask | None = None
    wider: Mask | None = None


def sifted(
    block: Block, file: CsvFile, fields: list[Field], types: Mapping[str, pa.DataType], source: SourceSpec
) -> Batch:
    """The batch of *block*, whose columns are parsed as *types*. Raises SchemaWidened."""
    found, feeds = parsed(block, file, types), LineFeeds(block)
    bad = Faults(np.sort(np.fromiter(found.ragged, np.int64)), partial(_ragged, found.ragged, file))
    kept = np.delete(np.arange(found.table.num_rows + bad.rows.size), bad.rows) if found.ragged else None
    batch = Batch(found.table, found.records, partial(_located, block, file, feeds), bad, kept, feeds.all)
    if not fields:
        return replace(batch, table=pa.table({"": pa.array(np.ones(found.table.num_rows, bool))}))
    read = [_read(found.table, field, types[field.column], block, source) for field in fields]
    wrong = either(each.wrong for each in read)
    _check_types(block, file, fields, read, wrong, kept, source)
    columns = {field.name: each.values for field, each in zip(fields, read, strict=True)}
    batch = replace(batch, table=pa.table(columns))
    return batch if wrong is None else batch.without(wrong, partial(_misfit, fields, read, file))


def either(masks: Iterable[Mask | None]) -> Mask | None:
    """The rows of any mask; None: no row."""
    marked = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(marked) if marked else None


def _read(table: pa.Table, field: Field, kind: pa.DataType, block: Block, source: SourceSpec) -> Read:
    """*field* of *table*, whose column was to be parsed as *kind*."""
    text = column(table, field.column)
    if field.type.kind == "string":
        wrong = None if table.schema.field(field.column).type == kind else unreadable(text)
        readable_text = text if wrong is None else pc.if_else(wrong, pa.scalar(None, TEXT), text)
        if kind == ENCODED and not pa.types.is_dictionary(text.type):
            readable_text = readable_text.dictionary_encode()
        return Read(text, literals.converted(readable_text, field, source).values, wrong)
    text = text.cast(TEXT) if pa.types.is_dictionary(text.type) else text
    if block.doubled or (block.quoted and source.csv.null_values):
        text = nulled(text, source.csv)
    values, misfits = _converted(text, field, source)
    if misfits is None or field.declared:
        return Read(text, values, misfits)
    wrong = np.zeros(len(text), bool)
    wrong[misfits] = unreadable(text.filter(pa.array(misfits)))
    return Read(text, values, wrong, misfits) if wrong.any() else Read(text, values, None, misfits)


def _converted(text: Column, field: Field, source: SourceSpec) -> literals.Converted:
    try:
        return literals.converted(text, field, source)
    except pa.ArrowInvalid:  # some functions on texts refuse what is not UTF-8
        wrong = unreadable(text)
        if wrong is None:
            raise
        values, misfits = literals.converted(pc.if_else(wrong, pa.scalar(None, TEXT), text), field, source)
        return literals.Converted(values, either([misfits, wrong]))


def unreadable(text: Column) -> Mask | None:
    """The rows with text that is not UTF-8, or with NUL, which Postgres does not store; None: no row."""
    values, waiting = text.cast(BINARY), [(0, len(text))]
    wrong = np.zeros(len(text), bool)
    while waiting:
        start, stop = waiting.pop()
        if _is_text(values.slice(start, stop - start)):
            continue
        wrong[start:stop] = stop - start == 1
        step = max((stop - start) // _WAYS, 1)
        if stop - start > 1:
            waiting += [(at, min(at + step, stop)) for at in range(start, stop, step)]
    return wrong if wrong.any() else None


def _is_text(values: Column) -> bool:
    try:
        values.cast(TEXT)
    except pa.ArrowInvalid:
        return False
    return not pc.any(pc.match_substring(values, _NUL)).as_py()


def _check_types(
    block: Block,
    file: CsvFile,
    fields: Sequence[Field],
    read: Sequence[Read],
    wrong: Mask | None,
    kept: Ints | None,
    source: SourceSpec,
) -> None:
    """Raise SchemaWidened if a good row has a value that needs a wider type."""
    good = np.ones(len(read[0].text), bool) if wrong is None else ~wrong
    texts = {
        field: each.text.filter(pa.array(good))
        for field, each in zip(fields, read, strict=True)
        if each.wider is not None and (each.wider & good).any()
    }
    if texts:
        numbers = np.flatnonzero(good) if kept is None else kept[good]
        raise widened(block, file, texts, numbers, source)


def _ragged(ragged: Mapping[int, int], file: CsvFile, number: int) -> Fault:
    return Fault(f"{ragged[number]} fields instead of {len(file.names)}")


def _misfit(fields: Sequence[Field], read: Sequence[Read], file: CsvFile, row: int) -> Fault:
    """The fault of the first field that is wrong in a row."""
    field, text = next(
        (field, each.text)
        for field, each in zip(fields, read, strict=True)
        if each.wrong is not None and each.wrong[row]
    )
    raw = text[row].as_buffer().to_pybytes()
    try:
        literal = raw.decode()
    except UnicodeDecodeError as error:
        if file.dialect.encoding != "utf-8":  # the tokenizer has made surrogates of bytes that are no text
            raw = raw.decode("utf-8", "surrogatepass").encode("utf-8", "surrogateescape")
        octet = raw[error.start]
        reason = f"0x{octet:02x} is not {file.dialect.encoding}; {SET_ENCODING}"
        return Fault(reason, field.column, shown(raw, "utf-8"), unreadable=True)
    value = shown(raw, "utf-8")
    return Fault("a NUL byte" if "\0" in literal else f"{value!r} is no {field.type}", field.column, value)


def _located(
    block: Block, file: CsvFile, feeds: LineFeeds, found: Iterable[tuple[int, Fault]]
) -> Iterator[BadRow]:
    left = iter(found)
    while some := list(islice(left, _AT_A_TIME)):
        numbers = [number for number, _ in some]
        places = spans(block.masked, file.dialect, numbers, keep_empty=len(file.names) == 1)
        for (start, stop), (_, fault) in zip(places.tolist(), some, strict=True):
            text, byte = _beginning(block.data[start:stop], file.dialect.encoding), block.offset + start
            yield BadRow(
                uri=file.uri,
                fault=fault,
                byte=byte,
                record=readable(text, file.dialect.encoding),
                truncated=len(text) < stop - start,
                offsets=file.content.offsets,
                line=partial(file.line, byte),
                lines_before=partial(feeds.before, start),
            )


def _beginning(raw: bytes, encoding: str) -> bytes:
    """At most RECORD_BYTES of *raw*, whole characters in UTF-8."""
    end = RECORD_BYTES
    if len(raw) <= end:
        return raw
    while encoding == "utf-8" and end > RECORD_BYTES - 4 and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]
