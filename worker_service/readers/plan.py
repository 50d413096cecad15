"""Plans a dataset: one schema, and chunks of about equal size whose extents hold whole records."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from msgspec.structs import replace

from shared.core.plan import Extent, Warned
from shared.errors import Detail, InvalidSpec, LimitExceeded, SchemaConflict, SourceEmpty
from shared.spec.faults import pointer, refuse
from shared.spec.source import FORMATS_OF, SourceSpec, idle_options
from shared.spec.types import Kind, Schema
from shared.spec.uses import Mention, Uses
from worker_service.readers.bytes.compressed import is_empty
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.fixed import path_schema
from worker_service.readers.formats import Format, format_of

_MAX_EXTENTS = 64
"""Most small files that share a chunk."""
_PARTS, _SHARE, _SLACK = 4, 3, 16
"""Tapered chunks are cut into so many parts, and are made of as few as one of them.

One takes a third of the data that are left, so that a few slots end at about the same time. Parts are as
large as their records let them be, so all parts of a chunk may take a sixteenth more.
"""


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """The columns in use and, for each chunk, its extents in file order.

    A dataset without records has no chunk. *warnings* depend on the files and options only. *source* is
    settled: it leaves nothing to a file. *culprits* are the values that make a column text, for `bind`.
    """

    schema: Schema
    extents: list[list[Extent]]
    format: str
    self_describing: bool
    warnings: tuple[Warned, ...]
    source: SourceSpec
    culprits: dict[tuple[str, Kind], str]


def plan(
    files: list[SourceFile],
    source: SourceSpec,
    chunk_bytes: int,
    max_chunks: int = 100_000,
    *,
    uses: Uses | None = None,
    guess: bool = False,
    tapered: bool = False,
) -> PlannedDataset:
    """Cut CSV at the first record start at or after every *chunk_bytes*, Parquet between row groups.

    With *tapered*, the last chunks are smaller, down to a quarter. Depends on the files and options only.
    *uses* are of the columns; None means the values of all. With *guess*, the cuts of large CSV files come
    from the bytes behind them, without a pass over all. Then errors may be wrong too, and the cuts are right
    if `read` ends for every extent. Raises SourceEmpty, InvalidSpec, SchemaConflict, UnknownColumn, BadRow,
    InvalidEncoding, CorruptFile, LimitExceeded.
    """
    hollow = [is_empty(file) for file in files]
    numbers = [i for i, nothing in enumerate(hollow) if not nothing]
    if not numbers:
        raise SourceEmpty(
            f"{files[0].uri}: the file is empty{', as all files are' if len(files) > 1 else ''}"
        )
    filled = [files[i] for i in numbers]
    found = _format(filled, source)
    _check_options(source, found, filled[0])
    source = found.settled(filled, source)
    uses = uses or _all_values(found, filled[0], source)
    part_bytes = max(chunk_bytes // _PARTS, 1) if tapered else chunk_bytes
    findings = found.plan(filled, source, uses, part_bytes, guess=guess)
    extents = [(replace(extent, file=numbers[extent.file]), size) for extent, size in findings.extents]
    by_path = path_schema([file.uri for file in filled], source, uses)
    empty = (Warned("empty_file", f"{file.uri} is empty; it is left out") for file in compress(files, hollow))
    return PlannedDataset(
        Schema(by_path.fields + findings.schema.fields),
        packed(extents, chunk_bytes, max_chunks, tapered=tapered),
        found.name,
        found.self_describing,
        (*empty, *findings.warnings),
        source,
        {(column, "string"): told for column, told in findings.culprits.items()},
    )


def _format(files: list[SourceFile], source: SourceSpec) -> Format:
    formats = [format_of(file, source) for file in files]
    first = formats[0]
    for file, found in zip(files, formats, strict=True):
        if found != first:
            told = f"{file.uri} is {found.name}, and {files[0].uri} is {first.name}"
            raise SchemaConflict(f"{told}: a dataset has one format")
    return first


def _check_options(source: SourceSpec, found: Format, file: SourceFile) -> None:
    """Raise InvalidSpec for options that mean nothing for the format of *file*."""
    refuse(
        InvalidSpec,
        (
            Detail(pointer=pointer("source", name, *at), detail=told)
            for name in FORMATS_OF
            for at, told in idle_options(name, getattr(source, name), found.name, file.uri)
        ),
    )


def _all_values(found: Format, file: SourceFile, source: SourceSpec) -> Uses:
    declared = (Mention(("source", "types", name), name) for name in source.types)
    named = (Mention((), name, value=True) for name in found.names(file, source))
    return Uses((*declared, *named))


def packed(
    extents: Sequence[tuple[Extent, int]], chunk_bytes: int, max_chunks: int, *, tapered: bool = False
) -> list[list[Extent]]:
    """Group extents, each given with its size in bytes, into chunks. Neighbours in a file become one.

    A chunk has at most *chunk_bytes*, or one extent that is larger by itself. With *tapered* it may have a
    little more, and the last ones have less.
    """
    chunks: list[list[Extent]] = []
    room, left = 0, sum(size for _, size in extents)
    for extent, size in extents:
        if not chunks or size > room or len(chunks[-1]) == _MAX_EXTENTS:
            if len(chunks) == max_chunks:
                told = f"the plan has more than {max_chunks:,} chunks"
                raise LimitExceeded(f"{told}; raise options.chunk_bytes or limits.max_chunks")
            chunks.append([])
            room = _tapered(chunk_bytes, left) if tapered else chunk_bytes
        chunks[-1] = _joined(chunks[-1], extent)
        room -= size
        left -= size
    return chunks


def _tapered(chunk_bytes: int, left: int) -> int:
    room = min(chunk_bytes, max(left // _SHARE, chunk_bytes // _PARTS))
    return room + room // _SLACK


def _joined(extents: list[Extent], extent: Extent) -> list[Extent]:
    last = extents[-1] if extents else None
    if last is None or (last.file, last.end) != (extent.file, extent.start):
        return [*extents, extent]
    rows = None if last.rows is None or extent.rows is None else last.rows + extent.rows
    guesses = None if last.guesses is None or extent.guesses is None else last.guesses + extent.guesses
    return [*extents[:-1], replace(last, end=extent.end, rows=rows, guesses=guesses)]
