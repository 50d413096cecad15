"""Positions of records, fields and comments in masked bytes (see `scan`).

A line feed outside quotes ends a record. Blocks are cut after a line feed only. A lone carriage return ends a
record for the parser too, so whole lines are whole records.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker_service.readers.csv import bits
from worker_service.readers.csv.bits import Octets
from worker_service.readers.csv.dialect import LINE_END, Dialect

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MASK = b"\xff"
"""Stands for a byte that only looks like structure; structure is ASCII in every dialect, and this is not."""

_LF, _CR = b"\n\r"
_WINDOW = 64 * 1024
"""Bytes among which line feeds outside quotes are looked for at a time."""
_NONE = np.zeros(0, np.int64)


def positions(data: bytes, octet: bytes) -> Positions:
    """The positions of *octet*, ascending; none if it is empty."""
    if not octet or octet not in data:
        return _NONE
    return np.flatnonzero(np.frombuffer(data, np.uint8) == octet[0])


def is_odd(masked: bytes, quote: bytes, start: int, stop: int) -> bool:
    """Whether masked[start:stop] holds an odd number of quotes."""
    return bool(quote) and bits.occurrences(np.frombuffer(masked, np.uint8)[start:stop], quote[0]) % 2 == 1


def record_ends(masked: bytes, quote: bytes, inside: bool) -> Positions:
    """The positions after every line feed outside quotes.

    *inside*: whether the first byte is inside quotes.
    """
    found = positions(masked, b"\n")
    if found.size and (inside or (quote and quote in masked)):
        found = found[np.searchsorted(positions(masked, quote), found) % 2 == inside]
    return found + 1


def first_end(masked: bytes, quote: bytes, inside: bool) -> int:
    """The position after the first line feed outside quotes; 0 if there is none.

    *inside*: whether the first byte is inside quotes.
    """
    for at in range(0, len(masked), _WINDOW):
        window = masked[at : at + _WINDOW]
        ends = record_ends(window, quote, inside)
        if ends.size:
            return at + int(ends[0])
        inside ^= is_odd(window, quote, 0, len(window))
    return 0


def first_break(masked: bytes, quote: bytes, inside: bool) -> int | None:
    """The position of the first line end of any kind outside quotes.

    *inside*: whether the first byte is inside quotes.
    """
    octets = np.frombuffer(masked, np.uint8)
    found = np.flatnonzero((octets == _LF) | (octets == _CR))
    found = found[np.searchsorted(positions(masked, quote), found) % 2 == inside]
    return int(found[0]) if found.size else None


def last_end(masked: bytes, quote: bytes, inside: bool) -> int:
    """The position after the last line feed outside quotes; 0 if there is none.

    *inside*: whether the bytes end inside quotes.
    """
    for stop in range(len(masked), 0, -_WINDOW):
        start = max(stop - _WINDOW, 0)
        window = masked[start:stop]
        inside ^= is_odd(window, quote, 0, len(window))
        ends = record_ends(window, quote, inside)
        if ends.size:
            return start + int(ends[-1])
    return 0


@dataclass(frozen=True, slots=True)
class Records:
    """The bytes [starts, stops) of each record without its line end, and the number of its fields."""

    starts: Positions
    stops: Positions
    fields: Positions

    def span(self, row: int) -> tuple[int, int]:
        return int(self.starts[row]), int(self.stops[row])


def records(masked: bytes, dialect: Dialect, *, keep_empty: bool) -> Records:
    """Every record of *masked*, which begins with one; a lone carriage return ends a record too.

    A comment is no record. An empty line is one with *keep_empty* only (one-column files).
    """
    octets = np.frombuffer(masked, np.uint8)
    quotes = positions(masked, dialect.quote)

    def outside(found: Positions) -> Positions:
        even: Flags = np.searchsorted(quotes, found) % 2 == 0
        return found[even]

    padded = np.append(octets, np.uint8(0))
    following = padded[1:]
    breaks = outside(np.flatnonzero((octets == _LF) | ((octets == _CR) & (following != _LF))))
    starts = np.concatenate([[0], breaks + 1])
    stops = np.concatenate([breaks, [octets.size]])
    stops[:-1] -= (octets[breaks] == _LF) & (octets[breaks - 1] == _CR) & (breaks > starts[:-1])
    keep = (stops > starts) | keep_empty
    keep[-1] = stops[-1] > starts[-1]
    if dialect.comment:
        keep &= padded[starts] != dialect.comment[0]
    found = delimiters(masked, dialect)
    fields = np.searchsorted(found, stops) - np.searchsorted(found, starts) + 1
    return Records(starts[keep], stops[keep], fields[keep])


def separated(data: bytes, dialect: Dialect) -> bytes:
    """*data* with the separator for each byte of a delimiter of several bytes, and for no other byte."""
    octets, delimiter = np.frombuffer(data, np.uint8).copy(), dialect.delimiter
    found = positions(data, dialect.separator)
    found = found[found <= len(data) - len(delimiter)]
    for i in range(1, len(delimiter)):
        found = found[octets[found + i] == delimiter[i]]
    octets[octets == delimiter[0]] = MASK[0]
    found = _apart(found, len(delimiter))
    for i in range(len(delimiter)):
        octets[found + i] = delimiter[0]
    return octets.tobytes()


def _apart(found: Positions, width: int) -> Positions:
    """Ascending positions without those that are nearer than *width* to the one kept before."""
    if not (np.diff(found) < width).any():
        return found
    kept, free = list[int](), 0
    for at in found.tolist():
        if at >= free:
            kept.append(at)
            free = at + width
    return np.array(kept, np.int64)


def delimiters(masked: bytes, dialect: Dialect) -> Positions:
    """The positions of the delimiters; *masked* begins with a record."""
    found = positions(masked, dialect.separator)
    quotes = positions(masked, dialect.quote)
    outside: Flags = np.searchsorted(quotes, found) % 2 == 0
    return found[outside][:: len(dialect.delimiter)]


def count_delimiters(masked: Octets, dialect: Dialect) -> int:
    """How many `delimiters` finds, without their positions."""
    separator, quote = dialect.separator[0], dialect.quote
    if not quote or not bits.occurrences(masked, quote[0]):
        return bits.occurrences(masked, separator) // len(dialect.delimiter)
    found, inside = 0, False
    for at in range(0, masked.size, bits.RUN):
        run = masked[at : at + bits.RUN]
        outside = bits.parity(bits.matches(run, quote[0]), not inside)
        inside = not bits.bit(outside, run.size - 1)
        found += int(np.bitwise_count(bits.matches(run, separator) & outside).sum())
    return found // len(dialect.delimiter)


def comments(masked: bytes, dialect: Dialect) -> Iterator[tuple[int, int]]:
    """The bytes [start, end) of every comment line of *masked*, its line end included.

    *masked* begins with a record.
    """
    octets, found = np.frombuffer(masked, np.uint8), positions(masked, dialect.comment)
    before = octets[found - 1]
    begins = (found == 0) | (before == _LF) | (before == _CR)
    outside = np.searchsorted(positions(masked, dialect.quote), found) % 2 == 0
    for start in found[begins & outside].tolist():
        ended = LINE_END.search(masked, start)
        yield start, ended.end() if ended else len(masked)
