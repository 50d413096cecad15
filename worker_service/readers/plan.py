"""Planning a dataset: one schema, and chunks of about equal size whose extents hold whole records."""

from collections.abc import Iterable

from shared.errors import LimitExceeded, SchemaConflict
from shared.spec.source import SourceSpec
from worker_service.readers import csv_plan, parquet
from worker_service.readers.files import Extent, Planned, SourceFile
from worker_service.readers.read import file_format

_MAX_EXTENTS = 64
"""Small files that share a chunk at most."""


def plan(
    files: list[SourceFile],
    source: SourceSpec,
    chunk_bytes: int,
    max_chunks: int = 100_000,
    *,
    guess: bool = False,
) -> Planned:
    """Cut CSV at the first record start at or after every multiple of *chunk_bytes*, and Parquet between row groups.

    Depends on the files and options only. With *guess*, the cuts of large CSV files are told from the bytes
    behind them, without a pass over all: then the errors may be wrong too, and the cuts are right if `read`
    ends for every extent. Raises SourceEmpty, SchemaConflict, UnknownColumn, BadRow, InvalidEncoding,
    CorruptFile, LimitExceeded.
    """
    formats = [file_format(file, source) for file in files]
    for file, found in zip(files, formats, strict=True):
        if found != formats[0]:
            raise SchemaConflict(
                f"{file.uri} is {found}, and {files[0].uri} is {formats[0]}: a dataset has one format"
            )
    if formats[0] == "parquet":
        schema, extents = parquet.plan(files, source, chunk_bytes)
    else:
        schema, extents = csv_plan.plan(files, source, chunk_bytes, guess=guess)
    return Planned(schema, packed(extents, chunk_bytes, max_chunks), formats[0])


def packed(extents: Iterable[tuple[Extent, int]], chunk_bytes: int, max_chunks: int) -> list[list[Extent]]:
    """Group extents, each given with its size, into chunks of at most *chunk_bytes* where one extent is not larger by itself."""
    chunks: list[list[Extent]] = []
    room = 0
    for extent, size in extents:
        if not chunks or size > room or len(chunks[-1]) == _MAX_EXTENTS:
            if len(chunks) == max_chunks:
                raise LimitExceeded(
                    f"the plan has more than {max_chunks:,} chunks; raise options.chunk_bytes or limits.max_chunks"
                )
            chunks.append([])
            room = chunk_bytes
        chunks[-1].append(extent)
        room -= size
    return chunks
