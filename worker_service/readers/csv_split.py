"""Where CSV records begin and end, exactly, without parsing: at the line ends outside quotes of the bytes' shape.

Records are cut after a line feed only. A lone carriage return ends a record for the parser too, so whole
lines are whole records.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from shared.errors import CutsRefuted
from worker_service.readers import bits
from worker_service.readers.files import SourceFile, pread
from worker_service.readers.shape import LINE_END, Dialect, Fault, Flags, Positions, Scanner, places

MAX_RECORD = 64 * 1024 * 1024
"""A record (or a quoted field that never ends) of more bytes, its line feed included, is an error: memory is bounded."""

LOOKS = 4 * 1024, 128 * 1024
"""Bytes behind a cut to guess from: more if there is no quote among few.

What they do not tell is not guessed.
"""

_LF, _CR = b"\n\r"
_WINDOW = 64 * 1024
"""Bytes among which line feeds outside quotes are looked for at a time."""

Steps = tuple[int, ...]
Guess = tuple[int, int]
"""A target, and where the first record at or after it is thought to begin."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records: the first `size` bytes of `data`, whose shape is `shape` (the same object where nothing is masked).

    `offset` is their place in the content; `delimiters` counts those of the records that are outside quotes,
    and `quoted` and `doubled` are whether there may be quotes among them, and two of these in a row, as in an
    empty field.
    """

    offset: int
    data: bytes
    shape: bytes
    size: int
    delimiters: int
    quoted: bool
    doubled: bool

    def __contains__(self, octet: bytes) -> bool:
        return self.shape.find(octet, 0, self.size) >= 0

    def first(self, size: int) -> "Block":
        """Its first *size* bytes, with nothing behind them; what was counted stays that of the whole."""
        data = self.data[:size]
        return replace(
            self, data=data, shape=data if self.shape is self.data else self.shape[:size], size=size
        )

    def exact(self) -> "Block":
        """The same without what follows the records: a copy, which only errors are worth."""
        return self.first(self.size)


class RecordScanner(Scanner):
    """A scanner from the record start at *offset* on that knows where the record begins that has not ended: `record`.

    Takes pieces of at most MAX_RECORD bytes; raises Fault also for a record that is longer.
    """

    def __init__(self, dialect: Dialect, offset: int) -> None:
        super().__init__(dialect, offset)
        self.record = offset

    def feed(self, piece: bytes) -> bytes:
        start, inside = self._offset, self.inside
        shape = super().feed(piece)
        if self._offset - self.record > MAX_RECORD:
            first = first_end(shape, self.quote, inside) or len(shape)
            if start + first - self.record > MAX_RECORD:
                raise too_long(self.record)
        if end := last_end(shape, self.quote, self.inside):
            self.record = start + end
        return shape


def record_starts(pieces: Iterable[bytes], scanner: RecordScanner, offset: int, steps: Steps) -> list[int]:
    """The first record start at or after every multiple of every step, ascending and without repeats.

    *pieces* are the bytes of the file from *offset*, a record start that is not repeated, to the end of the
    file, which is one too if a line feed stands before it.
    """
    starts: list[int] = []
    target = _next_target(offset, steps)
    for piece in pieces:
        inside = scanner.inside
        shape = scanner.feed(piece)
        if target <= offset + len(shape):
            ends = record_ends(shape, scanner.quote, inside) + offset
            while (found := int(np.searchsorted(ends, target))) < ends.size:
                starts.append(int(ends[found]))
                target = _next_target(starts[-1], steps)
        offset += len(shape)
    scanner.finish()
    return starts


def guessed_starts(file: SourceFile, start: int, steps: Steps, dialect: Dialect) -> list[Guess] | None:
    """What `record_starts` probably finds from the record at *start* on, told from the bytes behind each target; None if some do not tell."""
    starts: list[Guess] = []
    while (target := _next_target(start, steps)) < file.size:
        if not (start := _guessed_start(file, target, dialect)):
            return None
        starts.append((target, start))
    return starts


def _guessed_start(file: SourceFile, target: int, dialect: Dialect) -> int:
    """The first record start at or after *target*, inside quotes or not, whichever makes sense of the bytes after it; 0 if neither does."""
    (last,) = pread(file, target - 2, 1)
    for size, inside in product(LOOKS, (False, True)):
        scanner = Scanner(dialect, target - 1, inside=inside, last=last)
        with suppress(Fault):
            shape = scanner.feed(pread(file, target - 1, size))
            clear = not scanner.irregular and (scanner.quoted or size == LOOKS[-1])
            if clear and (end := first_end(shape, dialect.quote, inside)):
                return target - 1 + end
    return 0


def _next_target(start: int, steps: Steps) -> int:
    return min((start // step + 1) * step for step in steps)


def record_ends(shape: bytes, quote: bytes, inside: bool) -> Positions:
    """The positions after every line feed outside quotes; *inside* is the state at the start of *shape*."""
    found = places(shape, b"\n")
    if found.size and (inside or (quote and quote in shape)):
        found = found[np.searchsorted(places(shape, quote), found) % 2 == inside]
    return found + 1


def first_end(shape: bytes, quote: bytes, inside: bool) -> int:
    """The position after the first line feed outside quotes; 0 if there is none.

    *inside*: at the start of *shape*.
    """
    for at in range(0, len(shape), _WINDOW):
        window = shape[at : at + _WINDOW]
        ends = record_ends(window, quote, inside)
        if ends.size:
            return at + int(ends[0])
        inside ^= is_odd(window, quote, 0, len(window))
    return 0


def first_break(shape: bytes, quote: bytes, inside: bool) -> int | None:
    """The position of the first line end of any kind outside quotes. *inside*: at the start of *shape*."""
    octets = np.frombuffer(shape, np.uint8)
    found = np.flatnonzero((octets == _LF) | (octets == _CR))
    found = found[np.searchsorted(places(shape, quote), found) % 2 == inside]
    return int(found[0]) if found.size else None


def last_end(shape: bytes, quote: bytes, inside: bool) -> int:
    """The position after the last line feed outside quotes; 0 if there is none.

    *inside* is the state at the end of *shape*.
    """
    for stop in range(len(shape), 0, -_WINDOW):
        start = max(stop - _WINDOW, 0)
        window = shape[start:stop]
        inside ^= is_odd(window, quote, 0, len(window))
        ends = record_ends(window, quote, inside)
        if ends.size:
            return start + int(ends[-1])
    return 0


def file_blocks(
    file: SourceFile, start: int, end: int, size: int, dialect: Dialect, guesses: Collection[Guess] = ()
) -> Iterator[Block]:
    """The records in the bytes [start, end), the first of which is known to begin one, in blocks of about *size* bytes.

    The end of each read, a part of a record, is read again: that is cheaper than to move the rest. Raises
    Fault, and CutsRefuted if one of *guesses* is wrong.
    """
    want = size = min(size, MAX_RECORD)
    while start < end:
        data = pread(file, start, min(want, end - start))
        scanner = Scanner(dialect, start)
        shape = scanner.feed(data)
        if start + len(data) == file.size:
            scanner.finish()
        cut = len(data) if start + len(data) == end else last_end(shape, dialect.quote, scanner.inside)
        for target, guess in guesses:
            if start < guess <= start + cut and not (
                start < target and _is_first(shape, target - start, guess - start, scanner)
            ):
                raise CutsRefuted(
                    f"{file.uri}: the record at or after byte {target} does not start at byte {guess}, as it was guessed"
                )
        if cut:
            yield Block(
                start,
                data,
                shape,
                cut,
                scanner.delimiters - _delimiters(shape[cut:], dialect),
                scanner.quoted,
                scanner.doubled,
            )
            start, want = start + cut, size
        elif len(data) == MAX_RECORD:
            raise too_long(start)
        else:
            want = min(4 * want, MAX_RECORD)
        del data, shape  # or they would stay in memory while the next ones are read


def _is_first(shape: bytes, target: int, start: int, scanner: Scanner) -> bool:
    """Whether the first record that begins at or after *target* begins at *start*.

    *scanner* has scanned *shape*, which begins with a record.
    """
    inside = False
    if scanner.quoted and target > len(shape) // 2:
        inside = scanner.inside != is_odd(shape, scanner.quote, target - 1, len(shape))
    elif scanner.quoted:
        inside = is_odd(shape, scanner.quote, 0, target - 1)
    near = shape[target - 1 : start]
    return first_end(near, scanner.quote, inside) == len(near)


def _delimiters(shape: bytes, dialect: Dialect) -> int:
    """Those outside quotes; *shape* begins with a record."""
    scanner = Scanner(dialect, 0)
    if shape:
        scanner.feed(shape)
    return scanner.delimiters


def stream_blocks(pieces: Iterable[bytes], dialect: Dialect, offset: int, size: int) -> Iterator[Block]:
    """The records of a stream, from its record start at *offset* on, in blocks of at least *size* bytes, all scanned.

    Raises Fault.
    """
    scanner = RecordScanner(dialect, offset)
    held: list[tuple[bytes, bytes]] = []
    length = counted = 0
    for piece in pieces:
        at = offset + length
        shape = scanner.feed(piece)
        held.append((piece, shape))
        length += len(piece)
        cut = scanner.record - at
        if length < size or cut <= 0:
            continue
        held[-1] = _part(piece, shape, 0, cut)
        delimiters = scanner.delimiters - _delimiters(shape[cut:], dialect) - counted
        block = _joined(offset, held, delimiters, scanner)
        held, length = [_part(piece, shape, cut, len(piece))], len(piece) - cut
        yield block
        offset += block.size
        counted += delimiters
        del block
    scanner.finish()
    if length:
        yield _joined(offset, held, scanner.delimiters - counted, scanner)


def _part(data: bytes, shape: bytes, start: int, stop: int) -> tuple[bytes, bytes]:
    part = data[start:stop]
    return part, part if shape is data else shape[start:stop]


def _joined(offset: int, held: list[tuple[bytes, bytes]], delimiters: int, scanner: Scanner) -> Block:
    data = b"".join(part for part, _ in held)
    regular = all(part is shape for part, shape in held)
    return Block(
        offset,
        data,
        data if regular else b"".join(shape for _, shape in held),
        len(data),
        delimiters,
        scanner.quoted,
        scanner.doubled,
    )


def too_long(start: int) -> Fault:
    return Fault(
        start,
        f"the record at byte {start} is longer than the limit of {MAX_RECORD:,} bytes: "
        "no line feed outside quotes ends it; look for a quote that is never closed, and for lines that end with a carriage return alone",
        in_column=False,
    )


def is_odd(shape: bytes, quote: bytes, start: int, stop: int) -> bool:
    """Whether an odd number of quotes is in shape[start:stop]."""
    return bool(quote) and bits.occurrences(np.frombuffer(shape, np.uint8)[start:stop], quote[0]) % 2 == 1


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a block: the bytes [starts, stops) of each without its line end, and the number of fields of each."""

    starts: Positions
    stops: Positions
    fields: Positions

    def span(self, row: int) -> tuple[int, int]:
        return int(self.starts[row]), int(self.stops[row])


def records(shape: bytes, dialect: Dialect, *, keep_empty: bool) -> Records:
    """Every record of *shape*, lone carriage returns included.

    Comments are none, nor are empty lines unless *keep_empty* (one-column files).
    """
    octets = np.frombuffer(shape, np.uint8)
    quotes = places(shape, dialect.quote)

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
    delimiters = outside(places(shape, dialect.delimiter))
    fields = np.searchsorted(delimiters, stops) - np.searchsorted(delimiters, starts) + 1
    return Records(starts[keep], stops[keep], fields[keep])


def comments(shape: bytes, dialect: Dialect) -> Iterator[tuple[int, int]]:
    """The bytes [start, end) of every comment line of *shape*, which starts with a record.

    Its line end is a part of it.
    """
    octets, found = np.frombuffer(shape, np.uint8), places(shape, dialect.comment)
    before = octets[found - 1]
    begins = (found == 0) | (before == _LF) | (before == _CR)
    outside = np.searchsorted(places(shape, dialect.quote), found) % 2 == 0
    for start in found[begins & outside].tolist():
        ended = LINE_END.search(shape, start)
        yield start, ended.end() if ended else len(shape)
