"""Parquet files: schema and extents from the metadata, frames by row groups.

Integers become int64, half and single floats float64, timestamps of any unit microseconds; a value that would
not survive (a uint64 past 2^63-1, a nanosecond fraction) is an error, never rounded, and so is a date or time
outside the years 1 to 9999. Columns of other types (lists, structs, maps, binary, times, durations, decimals
of more than 38 digits) are left out of the schema, so that they are unknown to a spec.

The metadata of a file are its own claims. They say how to cut it; what is counted is what was decoded, and
has to be what was claimed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import BadRow, CorruptFile, LimitExceeded, SchemaConflict
from shared.spec.names import listed, quote
from shared.spec.source import SourceSpec
from shared.spec.types import INT64, NULL, STRING, DataType, Field, Schema, join, parse_type
from worker_service.arrow import arrow_type
from worker_service.readers import infer, literals, parquet_page
from worker_service.readers.border import reading
from worker_service.readers.files import Extent, RandomAccess, SourceFile, pread
from worker_service.readers.literals import Column

MAGIC = b"PAR1"
WHAT = "Parquet file"
MAX_FOOTER = 64 * 1024 * 1024
"""Bytes of a footer, which hold the metadata of some 600,000 columns of row groups."""

_PAGE_ROWS, _SMALLEST_PAGE = 2**31 - 1, 21
"""The rows that a page can hold, in a few bytes of run lengths, and the bytes that its header takes then."""


def _open(
    file: SourceFile, dictionaries: Sequence[str] = (), metadata: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    """The file, its *dictionaries* columns read dictionary-encoded; *metadata* are its own, if known."""
    _check_footer(file)
    with reading(file, WHAT):
        return pq.ParquetFile(
            RandomAccess(file),
            metadata=metadata,
            read_dictionary=list(dictionaries),
            pre_buffer=False,
            page_checksum_verification=True,
        )


def _check_footer(file: SourceFile) -> None:
    """The footer is read and unpacked whole, to many times its size, so its own claim comes first."""
    end = pread(file, max(file.size - 8, 0), 8)
    size = int.from_bytes(end[:4], "little")
    if end[4:] == MAGIC and size > MAX_FOOTER:
        cure = "write it with fewer row groups or columns, or as several files"
        told = f"the Parquet footer takes {size:,} bytes; the most is {MAX_FOOTER:,}"
        raise LimitExceeded(f"{file.uri}: {told}: {cure}")


def plan(
    files: list[SourceFile], source: SourceSpec, chunk_bytes: int
) -> tuple[Schema, list[tuple[Extent, int]]]:
    """The schema, and every extent with its uncompressed size in bytes, in file order."""
    kinds: dict[str, DataType] = {}
    extents: list[tuple[Extent, int]] = []
    for i, file in enumerate(files):
        opened = _open(file)
        found = _columns(file, opened)
        extents += _extents(i, file, opened.metadata, chunk_bytes)
        if i == 0:
            infer.check_declared(found, source.types)
            kinds = found
        elif found.keys() != kinds.keys():
            odd = min(found.keys() ^ kinds.keys())
            told = f"{file.uri} and {files[0].uri} do not have the same columns"
            raise SchemaConflict(f"{told}: {quote(odd)} is in one of them only")
        for name in kinds.keys() - source.types.keys():
            wider = _wider(kinds[name], found[name])
            if wider is None:
                told = f"column {quote(name)} is {found[name]} in {file.uri} and {kinds[name]} before it"
                raise SchemaConflict(f"{told}; declare it in source.types")
            kinds[name] = wider
    return Schema(tuple(_field(name, kind, source) for name, kind in kinds.items())), extents


def _columns(file: SourceFile, opened: pq.ParquetFile) -> dict[str, DataType]:
    with reading(file, WHAT):
        fields = list(opened.schema_arrow)
        times = Counter(field.name for field in fields)
        return {
            field.name: kind
            for field in fields
            if (kind := _kind(field.type)) is not None and times[field.name] == 1
        }


def _kind(arrow: pa.DataType) -> DataType | None:
    """Our type of an Arrow type; None for those that Gristmill does not read."""
    if pa.types.is_dictionary(arrow):
        return _kind(arrow.value_type)
    if pa.types.is_decimal(arrow):
        return (
            DataType("decimal", arrow.precision, arrow.scale)
            if arrow.precision <= 38 and 0 <= arrow.scale <= arrow.precision
            else None
        )
    if pa.types.is_timestamp(arrow):
        return DataType("timestamptz" if arrow.tz else "timestamp")
    checks = {
        "null": pa.types.is_null,
        "bool": pa.types.is_boolean,
        "int64": pa.types.is_integer,
        "float64": pa.types.is_floating,
        "string": lambda t: (
            pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)
        ),
        "date": pa.types.is_date,
    }
    return next((DataType(kind) for kind, check in checks.items() if check(arrow)), None)  # type: ignore[arg-type] # the keys are kinds


def _field(name: str, kind: DataType, source: SourceSpec) -> Field:
    if name in source.types:
        return Field(name, parse_type(source.types[name]), declared=True)
    return Field(name, INT64 if kind == NULL else kind)


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


def _extents(
    index: int, file: SourceFile, metadata: pq.FileMetaData, chunk_bytes: int
) -> Iterator[tuple[Extent, int]]:
    """Runs of row groups of at most *chunk_bytes* together; a row group is never cut."""
    start = rows = size = 0
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        most = file.size // _SMALLEST_PAGE * _PAGE_ROWS if found.num_columns else 0
        if not 0 <= found.num_rows <= most:
            claim = f"row group {group} claims {found.num_rows:,} rows"
            raise CorruptFile(f"{file.uri}: {claim}, in a file of {file.size:,} bytes")
        taken = max(found.total_byte_size, 0)
        if rows and size + taken > chunk_bytes:
            yield Extent(index, start, group, rows), size
            start, rows, size = group, 0, 0
        rows += found.num_rows
        size += taken
    if rows:
        yield Extent(index, start, metadata.num_row_groups, rows), size


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[pa.Table]:
    """See `readers.read`; *batch_bytes* is measured in uncompressed bytes of the used columns.

    Row groups are read one by one, so that a lie about one does not move rows of another.
    """
    opened = _open(file)
    with reading(file, WHAT):
        texts = [
            name
            for name in columns
            if schema[name].type.kind == "string" and _kind(opened.schema_arrow.field(name).type) == STRING
        ]
    opened = _open(file, texts, opened.metadata)
    with reading(file, WHAT):
        leaves = {opened.schema.column(i).path: i for i in range(opened.metadata.num_columns)}
        flat = {path: i for path, i in leaves.items() if not opened.schema.column(i).max_repetition_level}
    first = sum(opened.metadata.row_group(group).num_rows for group in range(extent.start))
    for group in range(extent.start, extent.end):
        with reading(file, WHAT):
            claims = opened.metadata.row_group(group)
            chunks = {path: claims.column(leaves[path]) for path in columns or flat or leaves}
        if not columns:  # rows have to be counted, in the column that takes the fewest bytes
            path = min(chunks, key=lambda path: chunks[path].total_compressed_size)
            chunks = {path: chunks[path]}
        else:
            _check_words(file, opened, group, chunks)
        for path, chunk in chunks.items():
            if chunk.num_values != claims.num_rows and path in flat:
                told = f"{claims.num_rows:,} rows and {chunk.num_values:,} values of column {quote(path)}"
                raise CorruptFile(f"{file.uri}: row group {group} claims {told}")
        size = sum(max(chunk.total_uncompressed_size, 0) for chunk in chunks.values())
        # Dictionary and run-length pages are smaller than what they hold: a value is counted as four bytes at
        # least.
        rows = max(batch_bytes * claims.num_rows // max(size, 4 * claims.num_rows * len(chunks), 1), 1)
        found = 0
        for batch in _batches(file, opened, group, list(chunks), rows):
            if columns:
                at = first + found
                yield pa.table(
                    {
                        name: _adapted(batch.column(name), schema[name], file, source.timezone, at)
                        for name in columns
                    }
                )
            else:
                yield pa.table({"": pa.array(np.ones(batch.num_rows, bool))})
            found += batch.num_rows
        if found != claims.num_rows:
            claim = f"row group {group} claims {claims.num_rows:,} rows"
            raise CorruptFile(f"{file.uri}: {claim}; its pages hold {found:,}")
        first += found


def _check_words(
    file: SourceFile, opened: pq.ParquetFile, group: int, chunks: dict[str, pq.ColumnChunkMetaData]
) -> None:
    """Refuse a dictionary with equal words: Arrow keeps them once, and then indexes mean other words."""
    with reading(file, WHAT):
        encoded = [path for path in chunks if _is_words(opened.schema_arrow.field(path).type)]
    for path in encoded:
        words = parquet_page.words(file, chunks[path])
        first = next(_batches(file, opened, group, [path], 1), None) if words else None
        if first is not None and len(first.column(0).dictionary) < words:
            told = f"row group {group} has a dictionary of column {listed([path])} of {words:,} words, some of them equal"
            raise CorruptFile(f"{file.uri}: {told}; write the file without, or let another program write it")


def _is_words(arrow: pa.DataType) -> bool:
    return pa.types.is_dictionary(arrow) and _kind(arrow) == STRING


def _batches(
    file: SourceFile, opened: pq.ParquetFile, group: int, columns: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """What is decoded of *columns* of a row group, at most *rows* at a time."""
    with reading(file, WHAT):
        batches = opened.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False)
    while True:
        with reading(file, WHAT):
            batch = next(batches, None)
            if batch is None or not batch.num_rows:
                return
            batch.validate(full=True)  # dictionaries' indexes, text that is not UTF-8, decimals too long
        yield batch


def _adapted(values: Column, field: Field, file: SourceFile, zone: str, row: int) -> Column:
    """*values*, the first of which is in row *row* of the file, as *field*'s type if no value changes by it.

    BadRow otherwise.
    """
    try:
        return _cast(values, field, zone)
    except literals.OutOfYears as error:
        what, at = error.args
        raise BadRow(f"{file.uri}, row {row + at + 1}: column {field.name!r}: {what}") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, literals.Misfit) as error:
        why = f": {error}" if str(error) else ""
        raise BadRow(
            f"{file.uri}: column {field.name!r} is {values.type} in the file and does not fit {field.type}{why}"
        ) from error


def _cast(values: Column, field: Field, zone: str) -> Column:
    found = _kind(values.type)
    target = arrow_type(field.type)
    if found == STRING:
        if field.type.kind == "string":
            return values if pa.types.is_dictionary(values.type) else values.cast(target)
        return literals.convert(values.cast(pa.string()), field, zone)
    plain = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
    if found is not None and found.kind in {"timestamp", "date"} and field.type.kind == "timestamptz":
        plain = literals.in_zone(literals.in_years(plain.cast(pa.timestamp("us"))), zone)
    typed = plain.cast(target)
    return literals.in_years(typed) if pa.types.is_temporal(target) else typed
