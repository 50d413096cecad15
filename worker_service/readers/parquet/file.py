"""Parquet files as pyarrow opens them."""

from collections.abc import Sequence
from typing import Literal

import pyarrow.parquet as pq

from shared.errors import LimitExceeded
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import RandomAccess, SourceFile, pread

MAGIC = b"PAR1"
KIND = "Parquet file"
MAX_FOOTER = 64 * 1024 * 1024
"""Bytes of a footer; they hold the metadata of some 600,000 columns of row groups."""


def begins_parquet(start: bytes) -> bool:
    return start.startswith(MAGIC)


def open_file(
    file: SourceFile,
    dictionaries: Sequence[str] = (),
    metadata: pq.FileMetaData | None = None,
    int96: Literal["us", "ns"] = "us",
) -> pq.ParquetFile:
    """The file, its columns *dictionaries* read dictionary-encoded; *metadata* are its own, if known.

    Timestamps in INT96 have the unit *int96*: nanoseconds hold the years 1677 to 2262 only.
    """
    _check_footer(file)
    with library_errors(file, KIND):
        return pq.ParquetFile(
            RandomAccess(file),
            metadata=metadata,
            read_dictionary=list(dictionaries),
            pre_buffer=False,
            coerce_int96_timestamp_unit=int96,
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
