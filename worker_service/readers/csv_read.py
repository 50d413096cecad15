"""Typed frames of CSV blocks."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.types import Field, Schema
from worker_service.readers import csv_faults, literals
from worker_service.readers.csv_split import Block, is_odd, last_end
from worker_service.readers.csv_text import ENCODED, OCTETS, TEXT, column, nulled, tokenize
from worker_service.readers.csv_utf8 import BadByte
from worker_service.readers.literals import Column
from worker_service.readers.place import Place

_SAMPLE = 1024 * 1024
_REPEATS = 4
"""A string column is read dictionary encoded if a value occurs at least this often, on average, in the first megabyte.

Encoding costs about 20 ns a value where few are distinct and 100 ns where most are; grouping by codes saves
20 to 40 ns.
"""


def frames(
    blocks: Iterator[Block], place: Place, schema: Schema, columns: list[str], zone: str
) -> Iterator[pa.Table]:
    """One frame of *columns* a block; blocks of nothing but empty lines give none."""
    fields = [schema[name] for name in columns]
    types: dict[str, pa.DataType] | None = None
    for block in blocks:
        if types is None:
            types = _types(block, place, fields)
        table = frame(block, place, fields, types, zone)
        del block  # or it would stay in memory while the next one is read
        if table.num_rows:
            yield table


def frame(
    block: Block, place: Place, fields: list[Field], types: dict[str, pa.DataType], zone: str
) -> pa.Table:
    raw = tokenized(block, place, types)
    if not fields:
        return pa.table({"": pa.array(np.ones(raw.num_rows, bool))})
    texts = {field.name: column(raw, field.name) for field in fields}
    if block.doubled or (block.quoted and place.options.null_values):
        texts |= {f.name: nulled(texts[f.name], place.options) for f in fields if f.type.kind != "string"}
    typed: dict[str, Column] = {}
    misfits: list[Field] = []
    for field in fields:
        try:
            typed[field.name] = literals.convert(texts[field.name], field, zone)
        except literals.Misfit:
            misfits.append(field)
    if misfits:
        raise csv_faults.misfits(block.exact(), place, texts, misfits, zone)
    return pa.table(typed)


def tokenized(block: Block, place: Place, types: dict[str, pa.DataType]) -> pa.Table:
    try:
        return tokenize(block, place.names, types, place.options, place.dialect)
    except BadByte as error:
        raise csv_faults.bad_byte(block.exact(), place, error.at) from error
    except pa.ArrowInvalid as error:
        raise csv_faults.unreadable(block.exact(), place, list(types), error) from error


def _types(block: Block, place: Place, fields: list[Field]) -> dict[str, pa.DataType]:
    """How to read each used column; without any, the first column only, because rows have to be counted."""
    if not fields:
        return {place.names[0]: OCTETS}
    strings = [field.name for field in fields if field.type.kind == "string"]
    size = min(block.size, _SAMPLE)
    start = block.first(size)
    cut = (
        size
        if size == block.size
        else last_end(start.shape, place.dialect.quote, is_odd(start.shape, place.dialect.quote, 0, size))
    )
    if not strings or not cut:
        return {f.name: TEXT if f.name in strings else OCTETS for f in fields}
    sample = tokenized(start.first(cut), place, dict.fromkeys(strings, OCTETS))
    few = {
        name
        for name in strings
        if pc.count_distinct(sample.column(name)).as_py() * _REPEATS <= sample.num_rows
    }
    return {f.name: ENCODED if f.name in few else TEXT if f.name in strings else OCTETS for f in fields}
