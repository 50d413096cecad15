"""The shape of CSV: the same bytes, in which every byte that only looks like structure is masked, so that parity of quotes is a proof.

Masked are a quote inside an unquoted field (`5" pipe`: literal, as in Python's csv module), an escape
character with the byte after it, and a comment line after its first byte. Regular bytes are their own shape:
nothing is copied.

A byte is inside quotes if an odd number of quotes lies before it in the shape. That is a proof only while
every quote that opens stands at the start of a field or right after the quote that it doubles, and every
quote that closes stands at the end of a field or right before such a quote. `Scanner` checks this for every
quote, so by induction from a record start the state at each boundary is known, not guessed: the first quote
to fail the check as an opening one is a stray, and one that fails it as a closing one is a fault.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker_service.readers import bits

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_LF, _CR = _LINE_ENDS = b"\n\r"
MASK = b"\xff"
"""Structure is ASCII in every dialect, and this is not."""
LINE_END = re.compile(rb"\r\n?|\n")
_NOWHERE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Each of the special characters is one ASCII byte, or none where there is no such character.

    Quotes inside quotes are doubled.
    """

    uri: str
    delimiter: bytes
    quote: bytes
    escape: bytes = b""
    comment: bytes = b""
    encoding: str = "utf-8"


class Fault(Exception):
    """What makes the bytes no CSV: *reason*, found at the byte *at*, in a column unless it is true of the whole record."""

    def __init__(self, at: int, reason: str, *, in_column: bool = True) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason
        self.in_column = in_column


def places(data: bytes, octet: bytes) -> Positions:
    """Where *octet* is; nowhere if it is none."""
    if not octet or octet not in data:
        return _NOWHERE
    return np.flatnonzero(np.frombuffer(data, np.uint8) == octet[0])


class Scanner:
    """Gives the shape of a file from a record start on, piece after piece (none of them empty); raises Fault.

    Told of all pieces so far: `inside`, whether they end inside quotes; `quoted`, whether there is a quote;
    `doubled`, whether there are two in a row; `irregular`, whether there is a stray one; `delimiters`, how
    many there are outside quotes. To begin elsewhere, say what is there: *inside*, and the *last* byte.
    """

    def __init__(self, dialect: Dialect, offset: int, *, inside: bool = False, last: int = _LF) -> None:
        self._dialect = dialect
        self.quote = dialect.quote
        self._quote = dialect.quote[0] if dialect.quote else -1
        self._edge = dialect.delimiter + dialect.quote + b"\n\r"
        self._offset = offset
        self._last = last  # of the shape, without the comments
        self._opened = offset
        self._escaping = last in dialect.escape
        self._commented = False
        self.inside = inside
        self.quoted = False
        self.doubled = False
        self.irregular = False
        self.delimiters = 0

    def feed(self, piece: bytes) -> bytes:
        if not self._dialect.comment:
            return self._scanned(piece)
        parts = list(self._parts(piece))
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def finish(self) -> None:
        """Raises Fault if the file must not end here."""
        if self.inside:
            raise Fault(self._opened, f"the quote at byte {self._opened} is never closed")
        if self._escaping:
            at = self._offset - 1
            raise Fault(at, f"nothing follows the escape character at byte {at}")

    def _parts(self, piece: bytes) -> Iterator[bytes]:
        """The shape in parts: a comment's first byte, the rest of its line, what lies between comments."""
        found = places(piece, self._dialect.comment)
        octets = np.frombuffer(piece, np.uint8)
        candidates = found[(octets[found - 1] == _LF) | (octets[found - 1] == _CR)].tolist()
        at = 0
        while at < len(piece):
            if self._commented:
                ended = LINE_END.search(piece, at)
                end = ended.start() if ended else len(piece)
                self._commented = not ended
                yield self._passed(MASK * (end - at))
            elif piece[at] == self._dialect.comment[0] and self._last in _LINE_ENDS and not self.inside:
                self._commented, end = True, at + 1
                yield self._passed(self._dialect.comment)
            else:
                following = bisect_right(candidates, at)
                end = candidates[following] if following < len(candidates) else len(piece)
                yield self._scanned(piece[at:end])
            at = end

    def _passed(self, shape: bytes) -> bytes:
        """A part of a comment goes by."""
        self._offset += len(shape)
        return shape

    def _scanned(self, piece: bytes) -> bytes:
        """The shape of *piece*, in which no comment begins."""
        return self._masked(self._unescaped(piece) if self._dialect.escape else piece)

    def _masked(self, shape: bytes) -> bytes:
        """*shape*, all but its stray quotes."""
        if self._last == self._quote and not self.inside and shape[0] not in self._edge:
            raise self._text_after(-1)
        if self.quote and self.quote in shape:
            self.quoted = True
            if not self._proven(shape):
                if len(shape) > bits.RUN:  # what stray quotes cost grows with their number
                    return b"".join(
                        self._masked(shape[at : at + bits.RUN]) for at in range(0, len(shape), bits.RUN)
                    )
                shape = self._without_strays(shape)
                proven = self._proven(shape)
                assert proven
            if self.inside:
                self._opened = self._offset + shape.rfind(self.quote)
        elif not self.inside:
            self.delimiters += bits.occurrences(np.frombuffer(shape, np.uint8), self._edge[0])
        self._last = shape[-1]
        self._offset += len(shape)
        return shape

    def _unescaped(self, piece: bytes) -> bytes:
        """Every escape character that is not escaped itself is masked with the byte after it."""
        escapes = places(piece, self._dialect.escape)
        if not escapes.size and not self._escaping:
            return piece
        octets = np.frombuffer(piece, np.uint8).copy()
        if self._escaping:
            octets[0] = MASK[0]
            escapes = escapes[escapes > 0]
        starts = np.maximum.accumulate(
            np.where(np.diff(escapes, prepend=-2) > 1, escapes, 0)
        )  # of the run that each is in
        acting = escapes[(escapes - starts) % 2 == 0]
        self._escaping = bool(acting.size) and int(acting[-1]) == octets.size - 1
        octets[acting] = MASK[0]
        octets[np.minimum(acting + 1, octets.size - 1)] = MASK[0]
        return octets.tobytes()

    def _proven(self, shape: bytes) -> bool:
        """Go on to the end of *shape*, unless a quote in it is neither where one may open nor where one may close: then stay.

        Such a quote is next to a byte that is outside quotes and no edge of a field.
        """
        octets, (delimiter, quote, *line_ends) = np.frombuffer(shape, np.uint8), self._edge
        inside, doubled, delimiters, before = self.inside, self.doubled, self.delimiters, self._last
        if octets[0] == quote and not inside and before not in self._edge:
            return False
        for at in range(0, octets.size, bits.RUN):
            run, after = (
                octets[at : at + bits.RUN],
                shape[at + bits.RUN : at + bits.RUN + 1],
            )  # b"": what follows the piece will be judged
            quotes, separators = bits.places(run, quote), bits.places(run, delimiter)
            outside = bits.parity(quotes, not inside)
            stray = bits.beside(quotes, run.size, before == quote, after == self.quote)
            doubled = doubled or bool((stray & quotes).any())
            stray &= outside
            quotes |= separators
            stray &= np.invert(quotes, out=quotes)
            for octet in line_ends:
                if stray.any():
                    stray &= ~bits.places(run, octet)
            if stray.any():
                return False
            inside, before = not bits.at(outside, run.size - 1), int(run[-1])
            separators &= outside
            delimiters += int(np.bitwise_count(separators).sum())
        self.inside, self.doubled, self.delimiters = inside, doubled, delimiters
        return True

    def _may_open(self, octets: npt.NDArray[np.uint8], quotes: Positions) -> Flags:
        before = octets[
            quotes - 1
        ]  # of a quote at position 0 this is the last byte, replaced by the byte that truly precedes it
        if quotes.size and quotes[0] == 0:
            before[0] = self._last
        return self._is_edge(before)

    def _may_close(self, octets: npt.NDArray[np.uint8], quotes: Positions) -> Flags:
        return self._is_edge(
            octets[np.minimum(quotes + 1, octets.size - 1)]
        )  # a quote at the very end is judged with the next piece

    def _is_edge(self, octets: npt.NDArray[np.uint8]) -> Flags:
        delimiter, quote, line_feed, carriage_return = self._edge
        found: Flags = (
            (octets == delimiter) | (octets == quote) | (octets == line_feed) | (octets == carriage_return)
        )
        return found

    def _without_strays(self, shape: bytes) -> bytes:
        """*shape* with its stray quotes masked."""
        octets, quotes = np.frombuffer(shape, np.uint8).copy(), places(shape, self.quote)
        strays = self._strays(quotes, ~self._may_open(octets, quotes), ~self._may_close(octets, quotes))
        octets[quotes[strays]] = MASK[0]
        self.irregular = True
        return octets.tobytes()

    def _strays(self, quotes: Positions, cannot_open: Flags, cannot_close: Flags) -> list[int]:
        """Which of *quotes* are strays.

        Each one makes the quotes after it change roles: what is wrong in either role is known beforehand.
        """
        opens = np.arange(quotes.size) % 2 == 0
        wrong = [
            np.flatnonzero(np.where(opens ^ bool(role), cannot_open, cannot_close)).tolist()
            for role in (0, 1)
        ]
        touching = [*(np.diff(quotes) == 1).tolist(), False]  # the quote after it
        strays: list[int] = []
        role, at = int(self.inside), 0
        while (found := bisect_left(wrong[role], at)) < len(wrong[role]):
            at = wrong[role][found]
            if (at + role) % 2:
                raise self._text_after(int(quotes[at]))
            strays.append(at)
            while touching[at]:  # a quote right after a stray one is one too
                at += 1
                strays.append(at)
            at += 1
            role = (int(self.inside) + len(strays)) % 2
        return strays

    def _text_after(self, position: int) -> Fault:
        at = self._offset + position
        return Fault(
            at,
            f"text after the closing quote at byte {at}; double the quotes inside a quoted field, "
            "or set csv.quote to a character that the data does not use, or to null",
        )
