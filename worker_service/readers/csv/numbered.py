"""Finds a few records of masked bytes by their number, without looking for the fields of all."""

from collections.abc import Iterator, Sequence

import numpy as np

from worker_service.readers.csv import bits
from worker_service.readers.csv.bits import Octets, Words
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.masked import Positions, first_break, records

_WINDOW = 256 * 1024
"""Bytes whose record starts are counted at a time; a multiple of 64."""
_FEW = 500
"""Finding more of them one by one costs more than finding all."""
_LF, _CR = b"\n\r"


def spans(masked: bytes, dialect: Dialect, numbers: Sequence[int], *, keep_empty: bool) -> Positions:
    """The bytes [start, stop) of the records with *numbers*, ascending and from 0: an array of two columns.

    *masked* begins with a record. Line ends are excluded. A record is one as in `records`.
    """
    if keep_empty or len(numbers) > _FEW:
        found = records(masked, dialect, keep_empty=keep_empty)
        return np.stack([found.starts, found.stops], axis=1)[list(numbers)]
    starts = list(_starts(masked, dialect, numbers))
    return np.array([(start, _stop(masked, dialect.quote, start)) for start in starts]).reshape(-1, 2)


def _starts(masked: bytes, dialect: Dialect, numbers: Sequence[int]) -> Iterator[int]:
    passed, wanted = 0, list(reversed(numbers))
    for at, words in _windows(masked, dialect):
        counts = np.bitwise_count(words).astype(np.int64)
        count = int(counts.sum())
        if wanted and wanted[-1] < passed + count:
            sums = np.cumsum(counts)
            while wanted and (number := wanted[-1] - passed) < count:
                word = int(np.searchsorted(sums, number, side="right"))
                nth = number - int(sums[word] - counts[word])
                yield at + 64 * word + _nth_bit(int(words[word]), nth)
                wanted.pop()
        passed += count


def _nth_bit(word: int, number: int) -> int:
    """The position of the bit that has *number* set ones below it."""
    for _ in range(number):
        word &= word - 1
    return (word & -word).bit_length() - 1


def _windows(masked: bytes, dialect: Dialect) -> Iterator[tuple[int, Words]]:
    """The offset of each window, and a bit for every byte of it that begins a record."""
    octets = np.frombuffer(masked, np.uint8)
    inside, ended = False, True
    returns, quoted = b"\r" in masked, bool(dialect.quote) and dialect.quote in masked
    for at in range(0, octets.size, _WINDOW):
        run = octets[at : at + _WINDOW]
        ends = bits.matches(run, _LF)
        if returns:
            ends |= bits.matches(run, _CR)
        if quoted:
            outside = bits.parity(bits.matches(run, dialect.quote[0]), not inside)
            ends &= outside
            inside = not bits.bit(outside, run.size - 1)
        starts = bits.behind(ends, ended) & ~ends
        if dialect.comment:
            starts &= ~bits.matches(run, dialect.comment[0])
        ended = bits.bit(ends, run.size - 1)
        yield at, _within(starts, run)


def _within(words: Words, run: Octets) -> Words:
    """*words* without the bits behind the end of *run*."""
    if spare := -run.size % 64:
        words[-1] &= np.uint64(2**64 - 1) >> np.uint64(spare)
    return words


def _stop(masked: bytes, quote: bytes, start: int) -> int:
    """The end of the record at *start*."""
    size = 1024
    while True:
        near = masked[start : start + size]
        found = first_break(near, quote, inside=False)
        if found is not None:
            return start + found
        if start + size >= len(masked):
            return len(masked)
        size *= 8
