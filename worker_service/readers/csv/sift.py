"""Sifts the records of a block: the good ones become a typed table, the others bad rows.

A record is bad if it has too few or too many fields, or text in a used column that is no text in the
encoding, or a value that is no literal of a declared type. The first of these faults counts, and of several
columns the first. In a good record a value of an undeclared column widens the column instead.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import errors
from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Mask
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
    """`table` has the raw text of the records that have as many fields as there are names, in *columns*.

    `ragged` has the others: number, from 0, to how many fields. `records` counts all. Columns of text are
    BINARY where some text may be unreadable.
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
    """A field of a block. The values are null in the rows that are `wrong`, and so bad.

    And in those that need a `wider` type; None: no row.
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
    table = pa.table({"": pa.array(np.ones(found.table.num_rows, bool))})
    batch = Batch(table, found.records, partial(_located, block, file, feeds), bad, kept, feeds.all)
    if not fields:
        return batch
    read = {field.name: _read(block, file, found.table, field, types, source) for field in fields}
    wrong = either(each.wrong for each in read.values())
    wider = {name: each.wider & ~wrong if wrong is not None else each.wider
             for name, each in read.items() if each.wider is not None}
    _check_types(block, file, fields, read, wrong, kept, source)
    batch = replace(batch, table=pa.table({name: each.values for name, each in read.items()}))
    return batch if wrong is None else batch.without(wrong, partial(_fault, file, fields, read))


def _read(
    block: Block,
    file: CsvFile,
    table: pa.Table,
    field: Field,
    types: Mapping[str, pa.DataType],
    source: SourceSpec,
) -> Read:
    text = column(table, field.column)
    if field.type.kind == "string":
        wrong = unreadable(text) if table.schema.field(field.column).type != types[field.column] else None
        text = nulled_where(wrong, text)
        return Read(text, text.dictionary_encode() if types[field.column] == ENCODED and )
