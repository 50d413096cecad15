"""Reads an extent of a CSV file as batches, one for each block of records."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from shared.core.plan import Extent
from shared.spec.source import SourceSpec
from shared.spec.types import Field, Schema
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.ahead import ahead
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.csv.blocks import Block, file_blocks, stream_blocks
from worker_service.readers.csv.faults import explained
from worker_service.readers.csv.file import CsvFile, csv_file
from worker_service.readers.csv.head import head
from worker_service.readers.csv.masked import is_odd, last_end
from worker_service.readers.csv.native.batches import batches
from worker_service.readers.csv.sift import sifted
from worker_service.readers.csv.tokenizer import BINARY, ENCODED, TEXT, tokenize
from worker_service.readers.csv.trailing import with_footer_told

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
    if file.content.streamed:
        blocks = ahead(explained(stream_blocks(file, start, batch_bytes), file, start))
    else:
        found_blocks = file_blocks(file, start, extent.end, batch_bytes, extent.guesses or ())
        blocks = explained(found_blocks, file, start)
    fields = [schema[name] for name in columns]
    types: dict[str, pa.DataType] = {}

    def plain(block: Block) -> Batch:
        types.update(types or _types(block, file, fields))
        return with_footer_told(sifted(block, file, fields, types, source), block, file, found.start)

    with closing(blocks):
        read_ones = batches(blocks, file, fields, source, plain)
        if start == found.start:
            lines = partial(file.content.lines_before, start)
            yield from (replace(batch, lines_before=lines) for batch in islice(read_ones, 1))
        yield from read_ones


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
        sample = tokenize(start.first(cut), file, dict.fromkeys(strings, BINARY)).table
        few = {
            name
            for name in strings
            if pc.count_distinct(sample.column(name)).as_py() * _REPEATS <= sample.num_rows
        }
    several = [name for name, times in Counter(field.column for field in fields).items() if times > 1]
    kinds = {name: TEXT if name in strings else BINARY for name in (field.column for field in fields)}
    return kinds | dict.fromkeys(few.difference(several), ENCODED)
