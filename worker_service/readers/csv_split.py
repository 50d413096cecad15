"""Where CSV records begin and end, exactly, without parsing: the parity of quotes.

A line end outside quotes ends a record, and a byte is inside quotes if an odd number of quotes lies before it. That is a proof only
while every quote that opens stands at the start of a field or right after the quote that it doubles, and every quote that closes
stands at the end of a field or right before such a quote. `Quotes` checks this for every quote it counts, so by induction from the
start of the file the state at each boundary is known, not guessed; a quote elsewhere (`5" pipe`) is a clear error.

Records are cut after a line feed only. A lone carriage return ends a record for the parser too, so whole lines are whole records.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.errors import BadRow
from worker_service.readers.files import SourceFile, pread

MAX_RECORD = 64 * 1024 * 1024
"""A record (or a quoted field that never ends) longer than this many bytes is an error, so that memory stays bounded."""

_LF, _CR = 10, 13
CACHED = 256 * 1024
"""Bytes of a run that stays in the processor's cache between two passes over it."""
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`delimiter` and `quote` are one ASCII byte each; quotes inside quotes are doubled."""

    uri: str
    delimiter: bytes
    quote: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records: the first `size` bytes of `data`. `offset` is their place in the file, or in the decompressed data."""

    offset: int
    data: bytes
    size: int

    def __contains__(self, octet: bytes) -> bool:
        return self.data.find(octet, 0, self.size) >= 0

    def exact(self) -> "Block":
        """The same without what follows the records: a copy, which only errors are worth."""
        return Block(self.offset, self.data[: self.size], self.size)


class Quotes:
    """Counts the quotes of a file from its first record on, piece after piece, and refuses any that parity cannot prove."""

    def __init__(self, dialect: Dialect, offset: int) -> None:
        self._dialect = dialect
        self._quote = dialect.quote[0]
        self._offset = offset
        self._last = _LF
        self._opened = offset
        self._edge = dialect.delimiter + dialect.quote + b"\n\r"
        self.inside = False

    def feed(self, piece: bytes) -> Positions:
        """The positions of the quotes in *piece*, checked; afterwards `inside` is the state at its end."""
        if self._last == self._quote and not self.inside and piece[0] not in self._edge:
            raise self._stray(-1)
        found = self._positions(piece)
        if found.size:
            self._check(np.frombuffer(piece, np.uint8), found)
            if (found.size + self.inside) % 2:
                self._opened = self._offset + int(found[-1])
            self.inside ^= bool(found.size % 2)
        self._last = piece[-1]
        self._offset += len(piece)
        return found

    def finish(self) -> None:
        if self.inside:
            raise BadRow(f"{self._dialect.uri}: the quote at byte {self._opened} is never closed")

    def _positions(self, piece: bytes) -> Positions:
        if self._dialect.quote not in piece:
            return np.zeros(0, np.int64)
        return np.flatnonzero(np.frombuffer(piece, np.uint8) == self._quote)

    def _check(self, octets: npt.NDArray[np.uint8], found: Positions) -> None:
        opening, closing = found[int(self.inside) :: 2], found[1 - int(self.inside) :: 2]
        before = octets[opening - 1]  # of a quote at position 0 this is the last byte, replaced by the byte that truly precedes it
        if opening.size and opening[0] == 0:
            before[0] = self._last
        after = octets[np.minimum(closing + 1, octets.size - 1)]  # a quote at the very end is its own neighbour: judged with the next piece
        wrong = np.concatenate([opening[~self._is_edge(before)], closing[~self._is_edge(after)]])
        if wrong.size:
            raise self._stray(int(wrong.min()))

    def _is_edge(self, octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        delimiter, quote, line_feed, carriage_return = self._edge
        found: npt.NDArray[np.bool_] = (octets == delimiter) | (octets == quote) | (octets == line_feed) | (octets == carriage_return)
        return found

    def _stray(self, position: int) -> BadRow:
        return BadRow(
            f"{self._dialect.uri}: byte {self._offset + position}: a quote inside an unquoted field, or text after a closing quote; "
            "quote the whole field and double the quotes in it, or set csv.quote to a character that the data does not use"
        )


def record_starts(pieces: Iterable[bytes], quotes: Quotes, offset: int, steps: tuple[int, ...]) -> list[int]:
    """The first record start at or after every multiple of every step, ascending and without repeats.

    *pieces* are the bytes of the file from *offset*, a record start that is not repeated, to the end of the file, which is one too
    if a line feed stands before it.
    """
    starts: list[int] = []
    target = _next_target(offset, steps)
    for piece in pieces:
        inside = quotes.inside
        found = quotes.feed(piece)
        while target - 1 < offset + len(piece):
            end = _first_end(piece, max(target - 1 - offset, 0), found, inside)
            if not end:
                break
            starts.append(offset + end)
            target = _next_target(offset + end, steps)
        offset += len(piece)
    quotes.finish()
    return starts


def _next_target(start: int, steps: tuple[int, ...]) -> int:
    return min((start // step + 1) * step for step in steps)


def _first_end(piece: bytes, at: int, quotes: Positions, inside: bool) -> int:
    """The position after the first line feed outside quotes at or after *at*; 0 if there is none."""
    while (at := piece.find(b"\n", at)) >= 0:
        before = int(np.searchsorted(quotes, at))
        if not (before + inside) % 2:
            return at + 1
        if before == quotes.size:
            return 0
        at = int(quotes[before]) + 1
    return 0


def last_end(piece: bytes, quote: bytes, inside: bool) -> int:
    """The position after the last line feed outside quotes; 0 if there is none. *inside* is the state at the end of *piece*."""
    end = len(piece)
    while (at := piece.rfind(b"\n", 0, end)) >= 0:
        if (piece.count(quote, at, end) + inside) % 2 == 0:
            return at + 1
        end, inside = piece.rfind(quote, 0, at), False
        if end < 0:
            return 0
    return 0


def file_blocks(file: SourceFile, start: int, end: int, size: int, dialect: Dialect) -> Iterator[Block]:
    """The records in the bytes [start, end), of which the planner has checked every quote, in blocks of about *size* bytes.

    The end of each read, a part of a record, is read again: that is cheaper than to move the rest.
    """
    want = size
    while start < end:
        data = pread(file, start, min(want, end - start))
        cut = len(data) if start + len(data) == end else last_end(data, dialect.quote, is_odd(data, dialect.quote))
        if cut:
            yield Block(start, data, cut)
            start, want = start + cut, size
        elif len(data) > MAX_RECORD:
            raise _too_long(dialect, start)
        else:
            want *= 4
        del data  # or it would stay in memory while the next one is read


def stream_blocks(pieces: Iterable[bytes], dialect: Dialect, offset: int, size: int) -> Iterator[Block]:
    """The records of a stream, from its record start at *offset* on, in blocks of at least *size* bytes; every quote is checked."""
    quotes = Quotes(dialect, offset)
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        quotes.feed(piece)
        held.append(piece)
        length += len(piece)
        if length < size:
            continue
        if cut := last_end(piece, dialect.quote, quotes.inside):
            held[-1] = piece[:cut]
            block = b"".join(held)
            held, length = [piece[cut:]], len(piece) - cut
            yield Block(offset, block, len(block))
            offset += len(block)
            del block
        elif length > size + MAX_RECORD:
            raise _too_long(dialect, offset + last_end(b"".join(held), dialect.quote, quotes.inside))
    quotes.finish()
    if length:
        yield Block(offset, b"".join(held), length)


def _too_long(dialect: Dialect, start: int) -> BadRow:
    return BadRow(f"{dialect.uri}: the record at byte {start} is longer than {MAX_RECORD} bytes, or a quote in it is never closed")


def is_odd(data: bytes, quote: bytes) -> bool:
    """Whether *data* holds an odd number of quotes."""
    return quote in data and occurrences(data, quote, len(data)) % 2 == 1


def occurrences(data: bytes, octet: bytes, size: int) -> int:
    """How often *octet* is among the first *size* bytes of *data*."""
    octets = np.frombuffer(data, np.uint8, size)
    found = np.empty(min(size, CACHED), np.bool_)
    total = 0
    for at in range(0, size, CACHED):
        run = octets[at : at + CACHED]
        total += int(np.count_nonzero(np.equal(run, octet[0], out=found[: run.size])))
    return total


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a block: the bytes [starts, stops) of each without its line end, and the number of fields of each."""

    starts: Positions
    stops: Positions
    fields: Positions

    def span(self, row: int) -> tuple[int, int]:
        return int(self.starts[row]), int(self.stops[row])


def records(data: bytes, dialect: Dialect, *, keep_empty: bool) -> Records:
    """Every record of *data*, lone carriage returns included; empty lines are none unless *keep_empty* (one-column files)."""
    octets = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(octets == dialect.quote[0])

    def outside(found: Positions) -> Positions:
        even: npt.NDArray[np.bool_] = np.searchsorted(quotes, found) % 2 == 0
        return found[even]

    following = np.append(octets[1:], np.uint8(0))
    breaks = outside(np.flatnonzero((octets == _LF) | ((octets == _CR) & (following != _LF))))
    starts = np.concatenate([[0], breaks + 1])
    stops = np.concatenate([breaks, [octets.size]])
    stops[:-1] -= (octets[breaks] == _LF) & (octets[breaks - 1] == _CR) & (breaks > starts[:-1])
    keep = (stops > starts) | keep_empty
    keep[-1] = stops[-1] > starts[-1]
    delimiters = outside(np.flatnonzero(octets == dialect.delimiter[0]))
    fields = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts) + 1
    return Records(starts[keep], stops[keep], fields[keep])
