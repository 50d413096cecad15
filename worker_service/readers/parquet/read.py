"""Reads row groups of Parquet files as batches.

Integers become int64, half and single floats float64, timestamps of any unit microseconds. A value that would
not survive (a uint64 past 2^63-1, a nanosecond fraction) is an error, never rounded. So is a date or time
outside the years 1 to 9999.

The metadata of a file are its own claims. They say how to cut it. The rows counted are those decoded, and
have to be those claimed.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared import errors
from shared.core.plan import Extent
from shared.errors import CorruptFile
from shared.spec.names import listed, quote
from shared.spec.source import SourceSpec
from shared.spec.types import STRING, Field, Schema
from worker_service.arrow import arrow_type
from worker_service.readers import literals
from worker_service.readers.batch import Batch, Fault, numbered
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.literals import Column
from worker_service.readers.parquet import page
from worker_service.readers.parquet.file import KIND, open_file, type_of

Chunks = dict[str, pq.ColumnChunkMetaData]
"""The claims about a row group's column chunks, by path."""


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """See `readers.batches`; *batch_bytes* are uncompressed bytes of the used columns.

    Row groups are read one by one, so that a wrong claim about one does not move rows of another. A value
    outside the years 1 to 9999 makes a bad row. Raises errors.BadRow where a column as a whole does not fit:
    then no row is known.
    """
    opened = _open(file, schema, columns)
    with library_errors(file, KIND):
        leaves = {opened.schema.column(i).path: i for i in range(opened.metadata.num_columns)}
        flat = {path: i for path, i in leaves.items() if not opened.schema.column(i).max_repetition_level}
    fields = [schema[name] for name in columns]
    first = sum(opened.metadata.row_group(group).num_rows for group in range(extent.start))
    for group in range(extent.start, extent.end):
        with library_errors(file, KIND):
            claims = opened.metadata.row_group(group)
            chunks = {path: claims.column(leaves[path]) for path in columns or flat or leaves}
        if columns:
            _check_dictionaries(file, opened, group, chunks)
        else:  # rows have to be counted, in the column that takes the fewest bytes
            path = min(chunks, key=lambda path: chunks[path].total_compressed_size)
            chunks = {path: chunks[path]}
        _check_values(file, group, claims.num_rows, {path: chunks[path] for path in chunks if path in flat})
        found = 0
        for decoded in decode(file, opened, group, list(chunks), _batch_rows(chunks, claims, batch_bytes)):
            yield typed(decoded, fields, file, source, first + found)
            found += decoded.num_rows
        if found != claims.num_rows:
            claim = f"row group {group} claims {claims.num_rows:,} rows"
            raise CorruptFile(f"{file.uri}: {claim}; its pages hold {found:,}")
        first += found


def _open(file: SourceFile, schema: Schema, columns: list[str]) -> pq.ParquetFile:
    """The file, its columns of text read dictionary-encoded where the schema has text too."""
    opened = open_file(file)
    with library_errors(file, KIND):
        texts = [
            name
            for name in columns
            if schema[name].type.kind == "string" and type_of(opened.schema_arrow.field(name).type) == STRING
        ]
    return open_file(file, texts, opened.metadata)


def _batch_rows(chunks: Chunks, claims: pq.RowGroupMetaData, batch_bytes: int) -> int:
    """Rows of a batch of about *batch_bytes*.

    Dictionary and run-length pages are smaller than their values: a value is counted as four bytes at least.
    """
    size = sum(max(chunk.total_uncompressed_size, 0) for chunk in chunks.values())
    least = 4 * claims.num_rows * len(chunks)
    return int(max(batch_bytes * claims.num_rows // max(size, least, 1), 1))


def _check_values(file: SourceFile, group: int, rows: int, flat: Chunks) -> None:
    """Refuse claims that contradict each other: a column that is not nested has one value a row."""
    for path, chunk in flat.items():
        if chunk.num_values != rows:
            told = f"{rows:,} rows and {chunk.num_values:,} values of column {quote(path)}"
            raise CorruptFile(f"{file.uri}: row group {group} claims {told}")


def _check_dictionaries(file: SourceFile, opened: pq.ParquetFile, group: int, chunks: Chunks) -> None:
    """Refuse a dictionary with equal words: Arrow keeps them once, and then indexes mean other words."""
    with library_errors(file, KIND):
        encoded = [path for path in chunks if _is_encoded_text(opened.schema_arrow.field(path).type)]
    for path in encoded:
        words = page.dictionary_values(file, chunks[path])
        first = next(decode(file, opened, group, [path], 1), None) if words else None
        if first is not None and len(first.column(0).dictionary) < words:
            told = f"row group {group} has a dictionary of column {listed([path])} of {words:,} words"
            cure = "write the file without, or let another program write it"
            raise CorruptFile(f"{file.uri}: {told}, some of them equal; {cure}")


def _is_encoded_text(arrow: pa.DataType) -> bool:
    return pa.types.is_dictionary(arrow) and type_of(arrow) == STRING


def decode(
    file: SourceFile, opened: pq.ParquetFile, group: int, columns: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """The values of *columns* of a row group, at most *rows* of them at a time."""
    with library_errors(file, KIND):
        batches = opened.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False)
    while True:
        with library_errors(file, KIND):
            batch = next(batches, None)
            if batch is None or not batch.num_rows:
                return
            batch.validate(full=True)  # indexes of dictionaries, text that is not UTF-8, decimals too long
        yield batch


def typed(
    decoded: pa.RecordBatch, fields: list[Field], file: SourceFile, source: SourceSpec, row: int
) -> Batch:
    """*decoded*, whose first row is row *row* of the file, counted from 0, as the types of *fields*.

    No value changes by it. Raises errors.BadRow for a column that does not fit.
    """
    rows, located = decoded.num_rows, numbered(file.uri, row + 1)
    if not fields:
        return Batch(pa.table({"": pa.array(np.ones(rows, bool))}), rows, located)
    columns: dict[str, Column] = {}
    for field in fields:
        values = decoded.column(field.name)
        try:
            columns[field.name] = _cast(values, field, source)
        except literals.OutOfYears as error:
            reason, at = error.args
            batch = Batch(pa.table({"": pa.array(np.ones(rows, bool))}), rows, located)
            return batch.without(np.arange(rows) == at, partial(_of_years, reason, field.column))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            told = f"column {field.name!r} is {values.type} in the file and does not fit {field.type}"
            why = f": {error}" if str(error) else ""
            raise errors.BadRow(f"{file.uri}: {told}{why}") from error
    return Batch(pa.table(columns), rows, located)


def _of_years(reason: str, column: str, _: int) -> Fault:
    return Fault(reason, column)


def _cast(values: Column, field: Field, source: SourceSpec) -> Column:
    found = type_of(values.type)
    target = arrow_type(field.type)
    if found == STRING:
        if field.type.kind == "string":
            return values if pa.types.is_dictionary(values.type) else values.cast(target)
        return _known(literals.converted(values.cast(pa.string()), field, source))
    plain = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
    if found is not None and found.kind in {"timestamp", "date"} and field.type.kind == "timestamptz":
        naive = literals.in_years(plain.cast(pa.timestamp("us")))
        moments = literals.in_zone(naive, source.timezone, source.ambiguous_times)
        plain = _known(literals.Converted(moments.values, moments.misfits))
    result = plain.cast(target)
    return literals.in_years(result) if pa.types.is_temporal(target) else result


def _known(found: literals.Converted) -> Column:
    if found.misfits is not None:
        raise pa.ArrowInvalid("some value has another form")
    return found.values
