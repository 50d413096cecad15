"""Where to cut a CSV file into chunks, and where to sample it.

Cuts are proven by a pass over the file. Or they are guessed from the bytes behind each target; then the
reader of the chunk before a cut proves it. A stream is never cut.
"""

from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from shared.core.plan import Guess
from worker_service.readers.bytes.local import pread
from worker_service.readers.csv.blocks import Block, file_blocks, stream_blocks
from worker_service.readers.csv.dialect import MalformedCsv
from worker_service.readers.csv.faults import explained, malformed
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import first_end, record_ends

GUESS_BYTES = 1024 * 1024
"""Cuts and samples nearer to each other are proven: to look around them would cost as much as the pass."""

LOOKS = 4 * 1024, 128 * 1024
"""Bytes behind a target to guess from; the second number if the first holds no quote."""

SAMPLE_BYTES = 64 * 1024
_BUFFER = 1024 * 1024

Steps = tuple[int, ...]
"""Bytes from target to target. The targets are the multiples of every step."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """The byte ranges of a file's extents, ascending, and the sampled records.

    `guesses` are for the starts of both but the first, ascending; None if all are proven.
    """

    ranges: list[tuple[int, int]]
    samples: list[Block]
    guesses: tuple[Guess, ...] | None = None

    def guesses_in(self, start: int, end: int) -> tuple[Guess, ...] | None:
        """The guesses for starts in (start, end]."""
        if self.guesses is None:
            return None
        first, stop = (bisect_right(self.guesses, at, key=lambda guess: guess.start) for at in (start, end))
        return self.guesses[first:stop]


def cut(file: CsvFile, start: int, chunk_bytes: int, samples: int, *, guess: bool) -> Cuts:
    """Cut *file* at the first record start at or after every multiple of *chunk_bytes*.

    *start* is the first record of data. At least one sample is taken, and about *samples* of them, spread
    over the file. With *guess*, large files are cut by guesses where all targets allow one.
    """
    source = file.content.file
    if file.content.streamed:
        blocks = explained(stream_blocks(file, start, SAMPLE_BYTES * max(samples, 1)), file, start)
        sample = next(blocks, None)
        return Cuts([(0, source.size)], [sample]) if sample else Cuts([], [])
    if start == file.content.end:
        return Cuts([], [])
    stride = max(file.content.end // max(samples, 1), SAMPLE_BYTES)
    if stride == SAMPLE_BYTES:
        return _sampled_whole(file, start, chunk_bytes)
    if guess and min(chunk_bytes, stride) >= GUESS_BYTES:
        guesses = guessed_starts(file, start, (chunk_bytes, stride))
        if guesses is not None:
            with suppress(MalformedCsv):
                return _cut_at([found.start for found in guesses], file, start, chunk_bytes, stride, guesses)
    if not source.passes:
        return _uncut(file, start)
    try:
        starts = record_starts(file, start, (chunk_bytes, stride))
    except MalformedCsv as error:
        raise malformed(file, error, start) from error
    return _cut_at(starts, file, start, chunk_bytes, stride)


def _uncut(file: CsvFile, start: int) -> Cuts:
    """One range, and its first records as the sample, for a file that no pass may be made over."""
    end = file.content.end
    sample = next(explained(file_blocks(file, start, end, SAMPLE_BYTES), file, start))
    return Cuts([(start, end)], [sample], ())


def _sampled_whole(file: CsvFile, start: int, chunk_bytes: int) -> Cuts:
    """All of a small file is its sample, and one look at it will do for one chunk."""
    end = file.content.end
    samples = list(explained(file_blocks(file, start, end, end), file, start))
    starts = record_starts(file, start, (chunk_bytes,)) if chunk_bytes < end else []
    return Cuts(list(pairwise([start, *(at for at in starts if at < end), end])), samples)


def _cut_at(
    found: list[int],
    file: CsvFile,
    start: int,
    chunk_bytes: int,
    stride: int,
    guesses: tuple[Guess, ...] | None = None,
) -> Cuts:
    end = file.content.end
    starts = [start, *(at for at in found if at < end)]
    bounds = [*_first_in_each(starts, chunk_bytes), end]
    samples = [next(file_blocks(file, at, end, SAMPLE_BYTES)) for at in _first_in_each(starts, stride)]
    return Cuts(list(pairwise(bounds)), samples, guesses)


def _first_in_each(starts: list[int], step: int) -> list[int]:
    """Of ascending record *starts*: the first, and the first at or after each multiple of *step*."""
    return [starts[0], *(at for before, at in pairwise(starts) if at // step > before // step)]


def record_starts(file: CsvFile, start: int, steps: Steps) -> list[int]:
    """The first record start at or after every target, by a pass over the file; ascending, without repeats.

    *start* is a record start; the answer leaves it out. The end of the file counts as one if a line feed
    stands before it. Raises MalformedCsv.
    """
    scanner = file.record_scanner(start)
    starts: list[int] = []
    offset, target = start, _next_target(start, steps)
    for buffer in file.buffers(_BUFFER, start):
        inside = scanner.inside
        masked = scanner.feed(buffer)
        if target <= offset + len(masked):
            ends = record_ends(masked, scanner.quote, inside) + offset
            while (found := int(np.searchsorted(ends, target))) < ends.size:
                starts.append(int(ends[found]))
                target = _next_target(starts[-1], steps)
        offset += len(masked)
    scanner.finish()
    return starts


def guessed_starts(file: CsvFile, start: int, steps: Steps) -> tuple[Guess, ...] | None:
    """The probable `record_starts`, from the bytes behind each target; None if one allows no guess."""
    guesses: list[Guess] = []
    while (target := _next_target(start, steps)) < file.content.end:
        start = _guessed_start(file, target)
        if not start:
            return None
        guesses.append(Guess(target, start))
    return tuple(guesses)


def _guessed_start(file: CsvFile, target: int) -> int:
    """The first record start at or after *target*; 0 if the bytes behind it allow no guess.

    The target is taken to be outside quotes, then inside; the first of both that makes sense counts.
    """
    source = file.content.file
    (last,) = pread(source, target - 2, 1)
    for size, inside in product(LOOKS, (False, True)):
        scanner = file.guessing_scanner(target - 1, inside=inside, last=last)
        with suppress(MalformedCsv):
            masked = scanner.feed(pread(source, target - 1, size))
            clear = not scanner.irregular and (scanner.quoted or size == LOOKS[-1])
            if clear and (end := first_end(masked, scanner.quote, inside)):
                return target - 1 + end
    return 0


def _next_target(start: int, steps: Steps) -> int:
    return min((start // step + 1) * step for step in steps)
