"""Planning CSV files: exact cuts by one pass over the bytes, and a schema from samples taken on the way."""

from itertools import pairwise

from shared.errors import SchemaConflict
from shared.spec.source import SourceSpec
from shared.spec.types import Kind, Schema
from worker_service.readers import compressed, files, header, infer
from worker_service.readers.csv_split import Block, Quotes, file_blocks, record_starts
from worker_service.readers.files import Extent, SourceFile
from worker_service.readers.header import Head
from worker_service.readers.read import decompressed_blocks, dialect_of, place_of

_PIECE = 256 * 1024
_SAMPLE = 64 * 1024
_SAMPLES = 16
"""Samples of 64 KB: spread over the file where there is one, fewer a file where there are many, at least the head of each."""


def plan(source_files: list[SourceFile], source: SourceSpec, chunk_bytes: int) -> tuple[Schema, list[tuple[Extent, int]]]:
    """The schema, and every extent with its size in bytes, in file order; a file without records has no extent."""
    heads = [_head(file, source) for file in source_files]
    names = heads[0].names
    for file, found in zip(source_files, heads, strict=True):
        if found.names != names:
            raise SchemaConflict(f"{file.uri} has the columns {_listed(found.names)}; {source_files[0].uri} has {_listed(names)}")
    infer.check_declared(names, source.types)
    spots = max(_SAMPLES // len(source_files), 1)
    kinds: list[dict[str, Kind]] = []
    extents: list[tuple[Extent, int]] = []
    for i, (file, found) in enumerate(zip(source_files, heads, strict=True)):
        cuts, samples = _cut(file, source, found, chunk_bytes, spots)
        kinds.append(infer.sampled_kinds(samples, place_of(file, source, names)))
        extents += [(Extent(i, start, end, None), end - start) for start, end in cuts]
    return infer.settled(names, kinds, source.types), extents


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")


def _head(file: SourceFile, source: SourceSpec) -> Head:
    wrapped = compressed.container(file, source.compression)
    return header.head(compressed.content(file, wrapped, header.PIECE), dialect_of(file, source), source.csv)


def _cut(file: SourceFile, source: SourceSpec, found: Head, chunk_bytes: int, spots: int) -> tuple[list[tuple[int, int]], list[Block]]:
    """The byte ranges of the file's extents, and the sampled records."""
    if compressed.container(file, source.compression) != "none":
        sample = next(decompressed_blocks(file, source, dialect_of(file, source), _SAMPLE * spots), None)
        return ([(0, file.size)], [sample]) if sample else ([], [])
    if found.start == file.size:
        return [], []
    stride = max(file.size // spots, _SAMPLE)
    quotes = Quotes(dialect_of(file, source), found.start)
    pieces = files.pieces(file, found.start, file.size, _PIECE)
    starts = [found.start, *(at for at in record_starts(pieces, quotes, found.start, (chunk_bytes, stride)) if at < file.size)]
    bounds = _first_in_each(starts, chunk_bytes)
    return list(pairwise([*bounds, file.size])), [_sample(file, source, at) for at in _first_in_each(starts, stride)]


def _first_in_each(starts: list[int], step: int) -> list[int]:
    """Of ascending record *starts*: the first, and every one that is the first at or after a multiple of *step*."""
    return [starts[0], *(at for before, at in pairwise(starts) if at // step > before // step)]


def _sample(file: SourceFile, source: SourceSpec, start: int) -> Block:
    """About 64 KB of whole records, at least one, from the record start *start* on."""
    return next(file_blocks(file, start, file.size, _SAMPLE, dialect_of(file, source)))
