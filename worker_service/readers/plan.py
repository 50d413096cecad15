"""Plans a dataset: one schema, and chunks of about equal size whose extents hold whole records."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.core.plan import Extent
from shared.errors import LimitExceeded, SchemaConflict
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.formats import format_of

_MAX_EXTENTS = 64
"""Most small files that share a chunk."""


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """The schema and, for each chunk, its extents in file order; a dataset without records has no chunk."""

    schema: Schema
    extents: list[list[Extent]]
    format: str
    self_describing: bool


def plan(
    files: list[SourceFile],
    source: SourceSpec,
    chunk_bytes: int,
    max_chunks: int = 100_000,
    *,
    guess: bool = False,
) -> PlannedDataset:
    """Cut CSV at the first record start at or after every *chunk_bytes*, Parquet between row groups.

    Depends on the files and options only. With *guess*, the cuts of large CSV files come from the bytes
    behind them, without a pass over all. Then errors may be wrong too, and the cuts are right if `read` ends
    for every extent. Raises SourceEmpty, SchemaConflict, UnknownColumn, BadRow, InvalidEncoding, CorruptFile,
    LimitExceeded.
    """
    formats = [format_of(file, source) for file in files]
    first = formats[0]
    for file, found in zip(files, formats, strict=True):
        if found != first:
            told = f"{file.uri} is {found.name}, and {files[0].uri} is {first.name}"
            raise SchemaConflict(f"{told}: a dataset has one format")
    schema, extents = first.plan(files, source, chunk_bytes, guess=guess)
    return PlannedDataset(schema, packed(extents, chunk_bytes, max_chunks), first.name, first.self_describing)


def packed(extents: Iterable[tuple[Extent, int]], chunk_bytes: int, max_chunks: int) -> list[list[Extent]]:
    """Group extents, each given with its size in bytes, into chunks.

    A chunk has at most *chunk_bytes*, or one extent that is larger by itself.
    """
    chunks: list[list[Extent]] = []
    room = 0
    for extent, size in extents:
        if not chunks or size > room or len(chunks[-1]) == _MAX_EXTENTS:
            if len(chunks) == max_chunks:
                told = f"the plan has more than {max_chunks:,} chunks"
                raise LimitExceeded(f"{told}; raise options.chunk_bytes or limits.max_chunks")
            chunks.append([])
            room = chunk_bytes
        chunks[-1].append(extent)
        room -= size
    return chunks
