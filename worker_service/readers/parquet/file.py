"""Parquet files as pyarrow opens them, and the column types that Gristmill reads.

Columns of other types are left out of the schema, so that they are unknown to a spec. Such types are lists,
structs, maps, binary, times, durations, decimals of more than 38 digits.
"""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import LimitExceeded
from shared.spec.types import DataType
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import RandomAccess, SourceFile, pread

MAGIC = b"PAR1"
KIND = "Parquet file"
MAX_FOOTER = 64 * 1024 * 1024
"""Bytes of a footer; they hold the metadata of some 600,000 columns of row groups."""


def open_file(
    file: SourceFile, dictionaries: Sequence[str] = (), metadata: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    """The file, its columns *dictionaries* read dictionary-encoded; *metadata* are its own, if known."""
    _check_footer(file)
    with library_errors(file, KIND):
        return pq.ParquetFile(
            RandomAccess(file),
            metadata=metadata,
            read_dictionary=list(dictionaries),
            pre_buffer=False,
            page_checksum_verification=True,
        )


def _check_footer(file: SourceFile) -> None:
    """The footer is read and unpacked whole, to many times its size, so its claimed size is checked first."""
    end = pread(file, max(file.size - 8, 0), 8)
    size = int.from_bytes(end[:4], "little")
    if end[4:] == MAGIC and size > MAX_FOOTER:
        cure = "write it with fewer row groups or columns, or as several files"
        told = f"the Parquet footer takes {size:,} bytes; the most is {MAX_FOOTER:,}"
        raise LimitExceeded(f"{file.uri}: {told}: {cure}")


def columns_of(file: SourceFile, opened: pq.ParquetFile) -> dict[str, DataType]:
    """The columns that can be read; a name that occurs twice is left out."""
    with library_errors(file, KIND):
        fields = list(opened.schema_arrow)
        times = Counter(field.name for field in fields)
        return {
            field.name: found
            for field in fields
            if (found := type_of(field.type)) is not None and times[field.name] == 1
        }


def type_of(arrow: pa.DataType) -> DataType | None:
    """The column type of an Arrow type; None for those that Gristmill does not read."""
    if pa.types.is_dictionary(arrow):
        return type_of(arrow.value_type)
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
