"""Reading an extent: the format and the container are told by the file's first bytes, as they were when it was planned."""

from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers import compressed, csv_read, files, header, parquet
from worker_service.readers.csv_split import Block, Dialect, file_blocks, stream_blocks
from worker_service.readers.files import Extent, SourceFile
from worker_service.readers.place import Place
from worker_service.readers.records import Tally

_PIECE = 1024 * 1024
"""Bytes of a stream to take at a time."""


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int, tally: Tally | None = None
) -> Iterator[pa.Table]:
    """Typed frames of *columns* of whole records in file order, about *batch_bytes* of input each; *tally* counts the records.

    Without columns a frame has one column of bools, named "", so that rows can be counted. Strings are dictionary-encoded where
    that pays. Raises BadRow, SchemaWidened, InvalidEncoding, CorruptFile, SourceChanged.
    """
    tally = tally or Tally()
    if file_format(file, source) == "parquet":
        tally.records += extent.rows or 0  # as the row groups' metadata said when it was planned
        return parquet.read(file, extent, source, schema, columns, batch_bytes)
    place = place_of(file, source, tuple(schema.names))
    blocks = tally.counted(_blocks(file, extent, source, place, batch_bytes), place.dialect, len(place.names))
    return csv_read.frames(blocks, place, schema, columns, source.timezone)


def file_format(file: SourceFile, source: SourceSpec) -> str:
    """`csv` or `parquet`: what the spec says, or for `auto` what the first bytes say."""
    if source.format != "auto":
        return source.format
    return "parquet" if files.pread(file, 0, 4) == parquet.MAGIC else "csv"


def place_of(file: SourceFile, source: SourceSpec, names: tuple[str, ...]) -> Place:
    return Place(
        dialect=dialect_of(file, source),
        options=source.csv,
        names=names,
        lines_before=partial(_lines_before, file, source),
        decompressed=compressed.container(file, source.compression) != "none",
    )


def dialect_of(file: SourceFile, source: SourceSpec) -> Dialect:
    return Dialect(uri=file.uri, delimiter=source.csv.delimiter.encode(), quote=source.csv.quote.encode())


def _blocks(file: SourceFile, extent: Extent, source: SourceSpec, place: Place, batch_bytes: int) -> Iterator[Block]:
    if place.decompressed:
        return decompressed_blocks(file, source, place.dialect, batch_bytes)
    return file_blocks(file, extent.start, extent.end, batch_bytes, place.dialect)


def decompressed_blocks(file: SourceFile, source: SourceSpec, dialect: Dialect, size: int) -> Iterator[Block]:
    """The data records of a compressed file in blocks of about *size* bytes."""
    wrapped = compressed.container(file, source.compression)
    start = header.head(compressed.content(file, wrapped, header.PIECE), dialect, source.csv).start
    pieces = _skipped(compressed.content(file, wrapped, min(size, _PIECE)), start)
    return stream_blocks(pieces, dialect, start, size)


def _skipped(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    for piece in pieces:
        if count < len(piece):
            yield piece[count:]
        count = max(count - len(piece), 0)


def _lines_before(file: SourceFile, source: SourceSpec, offset: int) -> int:
    """Line feeds before *offset*, counted from the beginning: slow, but only an error asks."""
    lines = at = 0
    for piece in compressed.content(file, compressed.container(file, source.compression), _PIECE):
        if at >= offset:
            break
        lines += piece.count(b"\n", 0, offset - at)
        at += len(piece)
    return lines
