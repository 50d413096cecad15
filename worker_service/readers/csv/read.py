"""Reads an extent of a CSV file as batches, one for each block of records."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.core.plan import Extent
from shared.spec.source import SourceSpec
from shared.spec.types import Field, Schema
from worker_service.readers import literals
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.csv.blocks import Block, count_records, file_blocks, stream_blocks
from worker_service.readers.csv.faults import BadRecord, explained, misfit, tokenized
from worker_service.readers.csv.file import CsvFile, csv_file
from worker_service.readers.csv.head import head
from worker_service.readers.csv.masked import is_odd, last_end
from worker_service.readers.csv.tokenizer import BINARY, ENCODED, TEXT, column, nulled
from worker_service.readers.literals import Column

_SAMPLE = 1024 * 1024
_REPEATS = 4
"""A string column is dictionary-encoded if a value occurs so often on average in the first megabyte.

Encoding costs about 20 ns a value where few are distinct and 100 ns where most are. Grouping by codes saves
20 to 40 ns.
"""


def read(
    source_file: SourceFile,
    extent: Extent,
    source: SourceSpec,
    schema: Schema,
    columns: list[str],
    batch_bytes: int,
) -> Iterator[Batch]:
    """See `readers.batches`; *batch_bytes* are bytes of the content. Raises for malformed CSV."""
    file = csv_file(source_file, source)
    found = head(file)
    start = found.start if file.content.streamed else extent.start
    file = replace(file, names=found.names)
    blocks = (
        stream_blocks(file, start, batch_bytes)
        if file.content.streamed
        else file_blocks(file, start, extent.end, batch_bytes, extent.guesses or ())
    )
    fields = [schema[name] for name in columns]
    types: dict[str, pa.DataType] = {}
    for block in explained(blocks, file, start):
        records = count_records(block, file)
        try:
            types = types or _types(block, file, fields)
            batch = Batch(_typed(block, file, fields, types, source), records)
        except BadRecord as found:
            batch = Batch(pa.table({}), records, (found.row,))
        yield batch
        del block, batch  # or they would stay in memory while the next block is read


def _typed(
    block: Block, file: CsvFile, fields: list[Field], types: dict[str, pa.DataType], source: SourceSpec
) -> pa.Table:
    raw = tokenized(block, file, types)
    if not fields:
        return pa.table({"": pa.array(np.ones(raw.num_rows, bool))})
    texts = {field.name: column(raw, field.column) for field in fields}
    if block.doubled or (block.quoted and file.options.null_values):
        texts |= {f.name: nulled(texts[f.name], file.options) for f in fields if f.type.kind != "string"}
    typed: dict[str, Column] = {}
    misfits: list[Field] = []
    for field in fields:
        found = literals.converted(texts[field.name], field, source)
        typed[field.name] = found.values
        if found.misfits is not None:
            misfits.append(field)
    if misfits:
        raise BadRecord(misfit(block.exact(), file, texts, misfits, source))
    return pa.table(typed)


def _types(block: Block, file: CsvFile, fields: list[Field]) -> dict[str, pa.DataType]:
    """How to read each used column; without any, the first column only, because rows have to be counted."""
    if not fields:
        return {file.names[0]: BINARY}
    strings = {field.column for field in fields if field.type.kind == "string"}
    size = min(block.size, _SAMPLE)
    start, cut, quote = block.first(size), size, file.dialect.quote
    if size < block.size:
        cut = last_end(start.masked, quote, is_odd(start.masked, quote, 0, size))
    few: set[str] = set()
    if strings and cut:
        sample = tokenized(start.first(cut), file, dict.fromkeys(strings, BINARY))
        few = {
            name
            for name in strings
            if pc.count_distinct(sample.column(name)).as_py() * _REPEATS <= sample.num_rows
        }
    several = [name for name, times in Counter(field.column for field in fields).items() if times > 1]
    kinds = {name: TEXT if name in strings else BINARY for name in (field.column for field in fields)}
    return kinds | dict.fromkeys(few.difference(several), ENCODED)
