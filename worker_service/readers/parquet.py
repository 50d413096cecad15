"""Parquet files: schema and extents from the metadata, frames by row groups.

Integers become int64, half and single floats float64, timestamps of any unit microseconds; a value that would not survive (a uint64
past 2^63-1, a nanosecond fraction) is an error, never rounded, and so is a date or time
outside the years 1 to 9999. Columns of other types (lists, structs, maps, binary, times, durations, decimals of more than 38 digits)
are left out of the schema, so that they are unknown to a spec.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.errors import BadRow, CorruptFile, SchemaConflict
from shared.spec.source import SourceSpec
from shared.spec.types import INT64, NULL, STRING, DataType, Field, Schema, join, parse_type
from worker_service.readers import infer, literals
from worker_service.readers.files import Extent, RandomAccess, SourceFile
from worker_service.readers.literals import Column

MAGIC = b"PAR1"


@contextmanager
def _opened(file: SourceFile, dictionaries: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """The file, its *dictionaries* columns read dictionary-encoded; what Arrow finds broken is CorruptFile."""
    try:
        with pq.ParquetFile(
            RandomAccess(file), read_dictionary=list(dictionaries), pre_buffer=False, page_checksum_verification=True
        ) as opened:
            yield opened
    except (pa.ArrowMemoryError, MemoryError):
        raise
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        raise CorruptFile(f"{file.uri}: the Parquet file cannot be read: {error}") from error


def plan(files: list[SourceFile], source: SourceSpec, chunk_bytes: int) -> tuple[Schema, list[tuple[Extent, int]]]:
    """The schema, and every extent with its uncompressed size in bytes, in file order."""
    seen: list[dict[str, DataType]] = []
    extents: list[tuple[Extent, int]] = []
    for i, file in enumerate(files):
        with _opened(file) as opened:
            seen.append(_columns(opened.schema_arrow))
            extents += _extents(i, opened.metadata, chunk_bytes)
        if seen[i].keys() != seen[0].keys():
            odd = sorted(seen[i].keys() ^ seen[0].keys())
            raise SchemaConflict(f"{file.uri} and {files[0].uri} do not have the same columns: {odd[0]!r} is in one of them only")
    infer.check_declared(seen[0], source.types)
    return Schema(tuple(_field(name, files, seen, source) for name in seen[0])), extents


def _columns(schema: pa.Schema) -> dict[str, DataType]:
    return {field.name: kind for field in schema if (kind := _kind(field.type)) is not None and schema.names.count(field.name) == 1}


def _kind(arrow: pa.DataType) -> DataType | None:
    """Our type of an Arrow type; None for those that Gristmill does not read."""
    if pa.types.is_dictionary(arrow):
        return _kind(arrow.value_type)
    if pa.types.is_decimal(arrow):
        return DataType("decimal", arrow.precision, arrow.scale) if arrow.precision <= 38 and 0 <= arrow.scale <= arrow.precision else None
    if pa.types.is_timestamp(arrow):
        return DataType("timestamptz" if arrow.tz else "timestamp")
    checks = {
        "null": pa.types.is_null,
        "bool": pa.types.is_boolean,
        "int64": pa.types.is_integer,
        "float64": pa.types.is_floating,
        "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
        "date": pa.types.is_date,
    }
    return next((DataType(kind) for kind, check in checks.items() if check(arrow)), None)  # type: ignore[arg-type] # the keys are kinds


def _field(name: str, files: list[SourceFile], seen: list[dict[str, DataType]], source: SourceSpec) -> Field:
    if name in source.types:
        return Field(name, parse_type(source.types[name]), declared=True)
    merged = NULL
    for file, columns in zip(files, seen, strict=True):
        wider = _wider(merged, columns[name])
        if wider is None:
            raise SchemaConflict(f"column {name!r} is {columns[name]} in {file.uri} and {merged} before it; declare it in source.types")
        merged = wider
    return Field(name, INT64 if merged == NULL else merged)


def _wider(left: DataType, right: DataType) -> DataType | None:
    """The type that holds both without turning values into text."""
    if left == right or NULL in {left, right}:
        return right if left == NULL else left
    if left.kind == right.kind == "decimal":
        scale = max(left.scale, right.scale)
        whole = max(left.precision - left.scale, right.precision - right.scale)
        return DataType("decimal", whole + scale, scale) if whole + scale <= 38 else None
    kind = join(left.kind, right.kind)
    return None if kind == "string" else DataType(kind)


def _extents(index: int, metadata: pq.FileMetaData, chunk_bytes: int) -> Iterator[tuple[Extent, int]]:
    """Runs of row groups of at most *chunk_bytes* together; a row group is never cut."""
    start = rows = size = 0
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        if rows and size + found.total_byte_size > chunk_bytes:
            yield Extent(index, start, group, rows), size
            start, rows, size = group, 0, 0
        rows += found.num_rows
        size += found.total_byte_size
    if rows:
        yield Extent(index, start, metadata.num_row_groups, rows), size


def read(file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int) -> Iterator[pa.Table]:
    """See `readers.read`; *batch_bytes* is measured in uncompressed bytes of the used columns."""
    strings = [name for name in columns if schema[name].type.kind == "string"]
    with _opened(file) as opened:
        texts = [name for name in strings if _kind(opened.schema_arrow.field(name).type) == STRING]
    with _opened(file, texts) as opened:
        groups = list(range(extent.start, extent.end))
        rows = _batch_rows(opened.metadata, groups, columns, batch_bytes)
        if not columns:
            yield from _counted(sum(opened.metadata.row_group(group).num_rows for group in groups), rows)
            return
        row = sum(opened.metadata.row_group(group).num_rows for group in range(extent.start))
        for batch in opened.iter_batches(batch_size=rows, row_groups=groups, columns=columns, use_threads=False):
            if batch.num_rows:
                yield pa.table({name: _adapted(batch.column(name), schema[name], file, source.timezone, row) for name in columns})
            row += batch.num_rows


def _batch_rows(metadata: pq.FileMetaData, groups: list[int], columns: list[str], batch_bytes: int) -> int:
    rows = size = 0
    for group in (metadata.row_group(i) for i in groups):
        rows += group.num_rows
        chunks = (group.column(i) for i in range(group.num_columns))
        size += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in columns)
    # Dictionary and run-length pages are smaller than what they hold: a value is counted as four bytes at least.
    return max(batch_bytes * rows // max(size, 4 * rows * max(len(columns), 1), 1), 1)


def _counted(rows: int, batch_rows: int) -> Iterator[pa.Table]:
    for start in range(0, rows, batch_rows):
        yield pa.table({"": pa.array(np.ones(min(batch_rows, rows - start), bool))})


def _adapted(values: Column, field: Field, file: SourceFile, zone: str, row: int) -> Column:
    """*values*, the first of which is in row *row* of the file, as *field*'s type if no value changes by it; BadRow otherwise."""
    try:
        return _cast(values, field, zone)
    except literals.OutOfYears as error:
        what, at = error.args
        raise BadRow(f"{file.uri}, row {row + at + 1}: column {field.name!r}: {what}") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, literals.Misfit) as error:
        why = f": {error}" if str(error) else ""
        raise BadRow(f"{file.uri}: column {field.name!r} is {values.type} in the file and does not fit {field.type}{why}") from error


def _cast(values: Column, field: Field, zone: str) -> Column:
    found = _kind(values.type)
    target = literals.arrow_type(field.type)
    if found == STRING:
        if field.type.kind == "string":
            return values if pa.types.is_dictionary(values.type) else values.cast(target)
        return literals.convert(values.cast(pa.string()), field, zone)
    plain = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
    if found is not None and found.kind in {"timestamp", "date"} and field.type.kind == "timestamptz":
        local = literals.in_years(plain.cast(pa.timestamp("us")))
        plain = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="raise")
    typed = plain.cast(target)
    return literals.in_years(typed) if pa.types.is_temporal(target) else typed
