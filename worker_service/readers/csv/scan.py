"""Masks the bytes of a CSV file that only look like structure, so that parity of quotes is a proof.

Theory of operation. Three things are masked. The first is a quote inside an unquoted field (`5" pipe`:
literal, as in Python's csv module). The second is an escape character with the byte after it. The third is a
comment line after its first byte. Bytes without any of these are returned as they are: nothing is copied.
Each byte of a delimiter that has several becomes the first of them, which is masked elsewhere.

A byte is inside quotes if an odd number of quotes lies before it in the masked bytes. That is a proof only
while two things are true of every quote. A quote that opens stands at the start of a field or right after the
quote that it doubles. A quote that closes stands at the end of a field or right before such a quote.
`Scanner` checks this for every quote. So, by induction from a record start, the state at each boundary is
known and not guessed. A quote that fails the check as an opening one is a stray: it is masked. A quote that
fails it as a closing one makes the file malformed.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np

from worker_service.native import Library, library
from worker_service.readers.csv import bits
from worker_service.readers.csv.bits import Octets
from worker_service.readers.csv.dialect import LINE_END, Dialect, MalformedCsv
from worker_service.readers.csv.masked import (
    MASK,
    Flags,
    Positions,
    first_end,
    last_end,
    positions,
    separated,
)

MAX_RECORD = 64 * 1024 * 1024
"""Most bytes of a record, its line feed included, or of a quoted field that never ends: bounds the memory."""

_LF, _CR = _LINE_ENDS = b"\n\r"


class Scanner:
    """Masks a file from the byte *offset* on, buffer after buffer, none of them empty.

    The attributes are of all buffers so far. `inside`: they end inside quotes. `quoted`: there is a quote.
    `doubled`: there are two in a row. `irregular`: there is a stray one. *offset* is a record start, unless
    *inside* and the *last* byte before it say otherwise.
    """

    def __init__(self, dialect: Dialect, offset: int, *, inside: bool = False, last: int = _LF) -> None:
        self._dialect = dialect
        self.quote = dialect.quote
        self._quote = dialect.quote[0] if dialect.quote else -1
        self._edge = dialect.separator + dialect.quote + b"\n\r"
        self._offset = offset
        self._last = last  # masked byte, without the comments
        self._opened = offset
        self._escaping = last in dialect.escape
        self._commented = False
        self.inside = inside
        self.quoted = False
        self.doubled = False
        self.irregular = False

    def feed(self, buffer: bytes) -> bytes:
        """The masked bytes of *buffer*, as many; raises MalformedCsv."""
        if not self._dialect.comment:
            return self._scanned(buffer)
        spans = list(self._spans(buffer))
        return b"".join(spans) if len(spans) > 1 else spans[0]

    def finish(self) -> None:
        """Raises MalformedCsv if the file must not end here."""
        if self.inside:
            raise MalformedCsv(self._opened, f"the quote at byte {self._opened} is never closed")
        if self._escaping:
            at = self._offset - 1
            raise MalformedCsv(at, f"nothing follows the escape character at byte {at}")

    def _spans(self, buffer: bytes) -> Iterator[bytes]:
        """The masked bytes in turn: those between comments, a comment's first byte, the rest of its line."""
        found = positions(buffer, self._dialect.comment)
        octets = np.frombuffer(buffer, np.uint8)
        candidates = found[(octets[found - 1] == _LF) | (octets[found - 1] == _CR)].tolist()
        at = 0
        while at < len(buffer):
            if self._commented:
                ended = LINE_END.search(buffer, at)
                end = ended.start() if ended else len(buffer)
                self._commented = not ended
                yield self._passed(MASK * (end - at))
            elif buffer[at] == self._dialect.comment[0] and self._last in _LINE_ENDS and not self.inside:
                self._commented, end = True, at + 1
                yield self._passed(self._dialect.comment)
            else:
                following = bisect_right(candidates, at)
                end = candidates[following] if following < len(candidates) else len(buffer)
                yield self._scanned(buffer[at:end])
            at = end

    def _passed(self, comment: bytes) -> bytes:
        self._offset += len(comment)
        return comment

    def _scanned(self, span: bytes) -> bytes:
        """The masked bytes of *span*, in which no comment begins."""
        unescaped = self._unescaped(span) if self._dialect.escape else span
        wide = len(self._dialect.delimiter) > 1
        return self._without_strays(separated(unescaped, self._dialect) if wide else unescaped)

    def _without_strays(self, masked: bytes) -> bytes:
        """*masked* with its stray quotes masked; the scanner goes on to its end."""
        if self._last == self._quote and not self.inside and masked[0] not in self._edge:
            raise self._text_after(-1)
        if self.quote and self.quote in masked:
            self.quoted = True
            if not self._proven(masked):
                if len(masked) > bits.RUN:  # the cost of stray quotes grows with their number
                    return b"".join(
                        self._without_strays(masked[at : at + bits.RUN])
                        for at in range(0, len(masked), bits.RUN)
                    )
                masked = self._mask_strays(masked)
                proven = self._proven(masked)
                assert proven
            if self.inside:
                self._opened = self._offset + masked.rfind(self.quote)
        self._last = masked[-1]
        self._offset += len(masked)
        return masked

    def _unescaped(self, span: bytes) -> bytes:
        """Every escape character that is not escaped itself is masked with the byte after it."""
        escapes = positions(span, self._dialect.escape)
        if not escapes.size and not self._escaping:
            return span
        octets = np.frombuffer(span, np.uint8).copy()
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

    def _proven(self, masked: bytes) -> bool:
        """Go on to the end of *masked* if each of its quotes is where one may open or close; else stay.

        Any other quote is next to a byte that is outside quotes and no edge of a field.
        """
        if (native := library()) is not None:
            return self._proven_natively(masked, native)
        octets, (delimiter, quote, *line_ends) = np.frombuffer(masked, np.uint8), self._edge
        inside, doubled, before = self.inside, self.doubled, self._last
        if octets[0] == quote and not inside and before not in self._edge:
            return False
        for at in range(0, octets.size, bits.RUN):
            run = octets[at : at + bits.RUN]
            after = masked[
                at + bits.RUN : at + bits.RUN + 1
            ]  # b"": the next buffer's first byte is checked then
            quotes, separators = bits.matches(run, quote), bits.matches(run, delimiter)
            outside = bits.parity(quotes, not inside)
            stray = bits.beside(quotes, run.size, before == quote, after == self.quote)
            doubled = doubled or bool((stray & quotes).any())
            stray &= outside
            quotes |= separators
            stray &= np.invert(quotes, out=quotes)
            for octet in line_ends:
                if stray.any():
                    stray &= ~bits.matches(run, octet)
            if stray.any():
                return False
            inside, before = not bits.bit(outside, run.size - 1), int(run[-1])
        self.inside, self.doubled = inside, doubled
        return True

    def _proven_natively(self, masked: bytes, native: Library) -> bool:
        octets, told = np.frombuffer(masked, np.uint8), np.empty(2, np.int64)
        address, state = octets.ctypes.data, (self._edge[0], self._quote, self.inside, self._last)
        if not native.gm_prove(address, octets.size, *state, told.ctypes.data):
            return False
        inside, doubled = told.tolist()
        self.inside, self.doubled = bool(inside), self.doubled or bool(doubled)
        return True

    def _may_open(self, octets: Octets, quotes: Positions) -> Flags:
        before = octets[
            quotes - 1
        ]  # at position 0 this is the last byte; the byte before the buffer belongs there
        if quotes.size and quotes[0] == 0:
            before[0] = self._last
        return self._is_edge(before)

    def _may_close(self, octets: Octets, quotes: Positions) -> Flags:
        # A quote at the very end is checked with the next buffer.
        return self._is_edge(octets[np.minimum(quotes + 1, octets.size - 1)])

    def _is_edge(self, octets: Octets) -> Flags:
        delimiter, quote, line_feed, carriage_return = self._edge
        found: Flags = (
            (octets == delimiter) | (octets == quote) | (octets == line_feed) | (octets == carriage_return)
        )
        return found

    def _mask_strays(self, masked: bytes) -> bytes:
        octets, quotes = np.frombuffer(masked, np.uint8).copy(), positions(masked, self.quote)
        strays = self._strays(quotes, ~self._may_open(octets, quotes), ~self._may_close(octets, quotes))
        octets[quotes[strays]] = MASK[0]
        self.irregular = True
        return octets.tobytes()

    def _strays(self, quotes: Positions, cannot_open: Flags, cannot_close: Flags) -> list[int]:
        """The indices of *quotes* that are strays.

        Each stray makes the quotes after it change roles; `wrong` holds those that fail in either role.
        """
        opens = np.arange(quotes.size) % 2 == 0
        wrong = [
            np.flatnonzero(np.where(opens ^ bool(role), cannot_open, cannot_close)).tolist()
            for role in (0, 1)
        ]
        touching = [*(np.diff(quotes) == 1).tolist(), False]  # the next quote
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

    def _text_after(self, position: int) -> MalformedCsv:
        at = self._offset + position
        return MalformedCsv(
            at,
            f"text after the closing quote at byte {at}; double the quotes inside a quoted field, "
            "or set csv.quote to a character that the data does not use, or to null",
        )


class RecordScanner(Scanner):
    """A scanner that knows the start of the record that has not ended yet: `record`.

    Takes buffers of at most MAX_RECORD bytes; a longer record is malformed.
    """

    def __init__(self, dialect: Dialect, offset: int) -> None:
        super().__init__(dialect, offset)
        self.record = offset

    def feed(self, buffer: bytes) -> bytes:
        start, inside = self._offset, self.inside
        masked = super().feed(buffer)
        if self._offset - self.record > MAX_RECORD:
            first = first_end(masked, self.quote, inside) or len(masked)
            if start + first - self.record > MAX_RECORD:
                raise too_long(self.record)
        if end := last_end(masked, self.quote, self.inside):
            self.record = start + end
        return masked


def too_long(start: int) -> MalformedCsv:
    return MalformedCsv(
        start,
        f"the record at byte {start} is longer than the limit of {MAX_RECORD:,} bytes: "
        "no line feed outside quotes ends it; look for a quote that is never closed, "
        "and for lines that end with a carriage return alone",
        in_column=False,
    )
