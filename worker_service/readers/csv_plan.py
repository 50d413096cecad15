"""Planning CSV files: where to cut them, and a schema from samples of them.

Cuts are guessed from the bytes behind them, and proven by whoever reads the chunk before; or proven at once,
by a pass over the file.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from shared.errors import SchemaConflict
from shared.spec.names import listed
from shared.spec.source import SourceSpec
from shared.spec.types import Kind, Schema, join
from worker_service.readers import files, header, infer
from worker_service.readers.content import content_of
from worker_service.readers.csv_split import (
    Block,
    Guess,
    RecordScanner,
    file_blocks,
    guessed_starts,
    record_starts,
)
from worker_service.readers.files import Extent, SourceFile
from worker_service.readers.place import Place
from worker_service.readers.read import dialect_of, place_of, streamed_blocks
from worker_service.readers.shape import Fault

_PIECE = 1024 * 1024
_SAMPLE = 64 * 1024
_SAMPLES = 16
"""Samples of 64 KB: spread over the file where there is one, fewer a file where there are many, at least the head of each."""
_SAMPLED_COLUMNS = 100_000
"""Columns to sample in all files together: of many wide files only some are sampled, spread over the dataset.

What the samples miss still widens a column, as a value between two samples does."""
GUESS_BYTES = 1024 * 1024
"""Cuts and samples nearer to each other than that are not guessed: to look around them would cost as much as the pass."""


def plan(
    source_files: list[SourceFile], source: SourceSpec, chunk_bytes: int, *, guess: bool
) -> tuple[Schema, list[tuple[Extent, int]]]:
    """The schema, and every extent with its size in bytes, in file order.

    A file without records has no extent.
    """
    places = _places(source_files, source)
    names = places[0][0].names
    infer.check_declared(names, source.types)
    kinds: dict[str, Kind] = dict.fromkeys(names, "null")
    extents: list[tuple[Extent, int]] = []
    for i, ((place, start), spots) in enumerate(zip(places, _spots(places), strict=True)):
        cuts = _cut(place, start, chunk_bytes, spots, guess=guess)
        if spots:
            found = infer.sampled_kinds(cuts.samples, place)
            kinds = {name: join(kinds[name], kind) for name, kind in found.items()}
        extents += [
            (Extent(i, start, end, None, cuts.guesses_in(start, end)), end - start)
            for start, end in cuts.ranges
        ]
    return infer.settled(kinds, source.types), extents


def samples(source_files: list[SourceFile], source: SourceSpec) -> Iterator[tuple[Place, list[Block]]]:
    """The records of each file that the schema was inferred from."""
    places = _places(source_files, source)
    for (place, start), spots in zip(places, _spots(places), strict=True):
        if spots:
            yield place, _cut(place, start, place.content.file.size + 1, spots, guess=False).samples


def _spots(places: list[tuple[Place, int]]) -> Iterator[int]:
    """How many samples to take of each file."""
    step = -(-len(places) * len(places[0][0].names) // _SAMPLED_COLUMNS)
    return (max(_SAMPLES // len(places), 1) if i % step == 0 else 0 for i in range(len(places)))


def _places(source_files: list[SourceFile], source: SourceSpec) -> list[tuple[Place, int]]:
    """Each file with the offset of its first record of data.

    Raises SchemaConflict if they have not the same columns.
    """
    names: tuple[str, ...] = ()
    places: list[tuple[Place, int]] = []
    for file in source_files:
        content = content_of(file, source)
        found = header.head(content, dialect_of(content, source), source.csv)
        names = names or found.names  # one object for all: names of many wide files would fill the memory
        if found.names != names:
            others = f"{source_files[0].uri} has {listed(names)}"
            raise SchemaConflict(f"{file.uri} has the columns {listed(found.names)}; {others}")
        places.append((place_of(content, source, names), found.start))
    return places


@dataclass(frozen=True, slots=True)
class Cuts:
    """The byte ranges of a file's extents and the sampled records.

    `guesses` are the beginnings of both but the first, if they are guessed.
    """

    ranges: list[tuple[int, int]]
    samples: list[Block]
    guesses: list[Guess] | None = None

    def guesses_in(self, start: int, end: int) -> list[Guess] | None:
        """Those of starts in (start, end]."""
        return self.guesses and self.guesses[_after(self.guesses, start) : _after(self.guesses, end)]


def _cut(place: Place, start: int, chunk_bytes: int, spots: int, *, guess: bool) -> Cuts:
    """How to cut the content whose first record of data is at *start*, with one sample or *spots* samples."""
    file = place.content.file
    if place.content.streamed:
        sample = next(streamed_blocks(place, start, _SAMPLE * max(spots, 1)), None)
        return Cuts([(0, file.size)], [sample]) if sample else Cuts([], [])
    if start == file.size:
        return Cuts([], [])
    stride = max(file.size // max(spots, 1), _SAMPLE)
    if guess and min(chunk_bytes, stride) >= GUESS_BYTES:
        guesses = guessed_starts(file, start, (chunk_bytes, stride), place.dialect)
        if guesses is not None:
            with suppress(Fault):
                return _cut_at([at for _, at in guesses], place, start, chunk_bytes, stride, guesses)
    scanner = RecordScanner(place.dialect, start)
    try:
        starts = record_starts(
            files.pieces(file, start, file.size, _PIECE), scanner, start, (chunk_bytes, stride)
        )
    except Fault as fault:
        raise place.broken(fault, start) from fault
    return _cut_at(starts, place, start, chunk_bytes, stride)


def _cut_at(
    found: list[int],
    place: Place,
    start: int,
    chunk_bytes: int,
    stride: int,
    guesses: list[Guess] | None = None,
) -> Cuts:
    file = place.content.file
    starts = [start, *(at for at in found if at < file.size)]
    bounds = [*_first_in_each(starts, chunk_bytes), file.size]
    sampled = (
        file_blocks(file, at, file.size, _SAMPLE, place.dialect) for at in _first_in_each(starts, stride)
    )
    return Cuts(list(pairwise(bounds)), [next(blocks) for blocks in sampled], guesses)


def _after(guesses: list[Guess], at: int) -> int:
    return bisect_right(guesses, at, key=itemgetter(1))


def _first_in_each(starts: list[int], step: int) -> list[int]:
    """Of ascending record *starts*: the first, and every one that is the first at or after a multiple of *step*."""
    return [starts[0], *(at for before, at in pairwise(starts) if at // step > before // step)]
