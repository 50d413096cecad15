"""Reading an extent: the format and the container are told by the file's first bytes, as they were when it was planned."""

from collections.abc import Iterator

import pyarrow as pa

from shared.spec.encodings import WIDE
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers import csv_read, files, header, parquet
from worker_service.readers.content import Content, content_of
from worker_service.readers.csv_split import Block, file_blocks, stream_blocks
from worker_service.readers.files import Extent, SourceFile
from worker_service.readers.place import Place
from worker_service.readers.records import Tally
from worker_service.readers.shape import Dialect, Fault

_PIECE = 1024 * 1024
"""Bytes of a stream to take at a time."""


def read(
    file: SourceFile,
    extent: Extent,
    source: SourceSpec,
    schema: Schema,
    columns: list[str],
    batch_bytes: int,
    tally: Tally | None = None,
) -> Iterator[pa.Table]:
    """Typed frames of *columns* of whole records in file order, about *batch_bytes* of input each.

    *tally* counts the records.

    Without columns a frame has one column of bools, named "", so that rows can be counted. Strings are
    dictionary-encoded where that pays. Raises BadRow, SchemaWidened, InvalidEncoding, CorruptFile,
    SourceChanged, CutsRefuted.
    """
    tally = tally or Tally()
    if file_format(file, source) == "parquet":
        tally.records += extent.rows or 0  # as the row groups' metadata said when it was planned
        return parquet.read(file, extent, source, schema, columns, batch_bytes)
    place = place_of(content_of(file, source), source, tuple(schema.names))
    blocks = tally.counted(_blocks(extent, place, batch_bytes), place.dialect, len(place.names))
    return csv_read.frames(blocks, place, schema, columns, source.timezone)


def file_format(file: SourceFile, source: SourceSpec) -> str:
    """`csv` or `parquet`: what the spec says, or for `auto` what the first bytes say."""
    if source.format != "auto":
        return source.format
    return "parquet" if files.pread(file, 0, 4) == parquet.MAGIC else "csv"


def place_of(content: Content, source: SourceSpec, names: tuple[str, ...]) -> Place:
    return Place(dialect=dialect_of(content, source), options=source.csv, names=names, content=content)


def dialect_of(content: Content, source: SourceSpec) -> Dialect:
    csv = source.csv
    return Dialect(
        uri=content.file.uri,
        delimiter=csv.delimiter.encode(),
        quote=(csv.quote or "").encode(),
        escape=(csv.escape or "").encode(),
        comment=(csv.comment or "").encode(),
        encoding="utf-8" if csv.encoding in WIDE else csv.encoding,
    )


def _blocks(extent: Extent, place: Place, batch_bytes: int) -> Iterator[Block]:
    if place.content.streamed:
        start = header.head(place.content, place.dialect, place.options).start
        return streamed_blocks(place, start, batch_bytes)
    blocks = file_blocks(
        place.content.file, extent.start, extent.end, batch_bytes, place.dialect, extent.guesses or ()
    )
    return _explained(blocks, place, extent.start)


def streamed_blocks(place: Place, start: int, size: int) -> Iterator[Block]:
    """The data records of a stream, the first of which is at *start*, in blocks of about *size* bytes."""
    pieces = place.content.pieces(min(size, _PIECE), start)
    return _explained(stream_blocks(pieces, place.dialect, start, size), place, start)


def _explained(blocks: Iterator[Block], place: Place, start: int) -> Iterator[Block]:
    """*blocks*, which begin at the record start *start*."""
    try:
        yield from blocks
    except Fault as fault:
        raise place.broken(fault, start) from fault
