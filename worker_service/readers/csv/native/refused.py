"""Decides about the rows that the native library refuses, by the functions of the plain path.

Most of them have a text that is no literal. The texts are taken from the fields, without a parser. Where a
text is not UTF-8 or has NUL, the records are gathered into a block of their own, which the plain path sifts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shared.errors import SchemaWidened
from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Array, Ints, as_array
from worker_service.native import Library
from worker_service.readers.batch import Batch, Fault, passing_over
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.columns import Column
from worker_service.readers.csv.native.separators import CARRIAGE_RETURN, QUOTE, Indices, Scratch, Separated
from worker_service.readers.csv.sift import judged, misfit, sifted
from worker_service.readers.csv.tokenizer import BINARY, TEXT


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
    """The refused `rows`, ascending, the `numbers` of their records, and the rows refused by each column."""

    rows: Ints
    numbers: Ints
    by_column: Mapping[Column, Ints]


class Verdict(NamedTuple):
    """Which of the refused rows are `bad`, by their index, and the `fault` of each by the same.

    `good` has rows and their values, by the name of the field.
    """

    bad: Ints
    fault: Callable[[int], Fault]
    good: dict[str, tuple[Ints, Array]]


def refusals(found: Separated, by_column: Mapping[Column, Ints]) -> Refused:
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *by_column.values()]))
    return Refused(rows, passing_over(found.odd, rows), by_column)


def decided(
    native: Native, block: Block, found: Separated, base: Indices, refused: Refused
) -> Verdict | None:
    """None: a value may need a wider type, so that the plain path has to read the block."""
    texts = {
        each: _texts(native.file, block, found, base[rows], each) for each, rows in refused.by_column.items()
    }
    if all(_is_text(raw) for column in texts.values() for raw in column):
        return _of_texts(native, block, refused, texts)
    return _of_records(native, block, found, refused)


def _texts(file: CsvFile, block: Block, found: Separated, base: Indices, column: Column) -> list[bytes]:
    """The texts of the field, without its quotes, of the records whose first separators are *base*."""
    at, quote, last = base + column.number, file.dialect.quote, column.number == len(file.names) - 1
    texts = []
    for start, stop in zip((found.found[at] + 1).tolist(), found.found[at + 1].tolist(), strict=True):
        raw = block.data[start:stop]
        if last and found.flags & CARRIAGE_RETURN:
            raw = raw.removesuffix(b"\r")
        if found.flags & QUOTE and len(raw) > 1 and block.masked[start] == quote[0]:
            raw = raw[1:-1].replace(2 * quote, quote)
        texts.append(raw)
    return texts


def _of_texts(
    native: Native, block: Block, refused: Refused, texts: Mapping[Column, list[bytes]]
) -> Verdict | None:
    faults, good = dict[int, Callable[[], Fault]](), dict[str, tuple[Ints, Array]]()
    for column, rows in refused.by_column.items():
        field, raw = column.field, texts[column]
        text: Array = pa.array(raw, TEXT)
        read = judged(text, field, block, native.source)
        if read.wider is not None:
            return None
        wrong = np.zeros(rows.size, np.bool_) if read.wrong is None else read.wrong
        for i, at in enumerate(np.searchsorted(refused.rows, rows).tolist()):
            if wrong[i] and at not in faults:
                faults[at] = partial(misfit, raw[i], field, native.source, partial(_same, text))
        if not wrong.all():
            good[field.name] = rows[~wrong], read.values.filter(pa.array(~wrong))
    return Verdict(np.array(sorted(faults), np.int64), lambda at: faults[at](), good)


def _same(text: Array) -> Array:
    return text


def _of_records(native: Native, block: Block, found: Separated, refused: Refused) -> Verdict | None:
    spans = np.minimum(found.spans(refused.numbers), block.size).tolist()
    columns = list(refused.by_column)

    def sift(some: slice) -> Batch:
        return _sifted(_gathered(block, spans[some], len(native.file.names)), native, columns)

    try:
        few = sift(slice(None))
    except SchemaWidened:
        return None

    def fault(at: int) -> Fault:
        start, stop = spans[at]
        # The fault of a record that is no text tells the place of a byte: so it is gathered alone.
        alone = not _is_text(block.data[start:stop])
        return sift(slice(at, at + 1)).bad.fault(0) if alone else few.bad.fault(at)

    rows = refused.rows[few.numbers(np.arange(few.table.num_rows))]
    good = {name: (rows, as_array(few.table[name])) for name in few.table.column_names}
    return Verdict(few.bad.rows, fault, good)


def _gathered(block: Block, spans: list[tuple[int, int]], width: int) -> Block:
    """The records of *width* fields at *spans* alone; the offset is right for the first one."""
    data = b"".join([block.data[start:stop] for start, stop in spans])
    masked = (
        data if block.masked is block.data else b"".join([block.masked[start:stop] for start, stop in spans])
    )
    return replace(
        block,
        offset=block.offset + spans[0][0],
        data=data,
        masked=masked,
        size=len(data),
        delimiters=(width - 1) * len(spans),
    )


def _sifted(block: Block, native: Native, columns: list[Column]) -> Batch:
    fields = [column.field for column in columns]
    types = {field.column: TEXT if field.type.kind == "string" else BINARY for field in fields}
    return sifted(block, native.file, fields, types, native.source)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in raw
