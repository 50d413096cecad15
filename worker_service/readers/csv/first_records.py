"""The first records of a file under some dialect, from a bounded number of its bytes."""

from dataclasses import dataclass

from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect, MalformedCsv
from worker_service.readers.csv.masked import records
from worker_service.readers.csv.opening import Opening
from worker_service.readers.csv.scan import Scanner

RECORDS = 100
"""So many records are looked at."""
GLANCE, LOOKED = 8 * 1024, 4 * 1024 * 1024
"""Bytes among which they are looked for, at first and at most; the last buffer may bring a few more."""
_GROWTH = 4
"""Times the bytes so far to have after the next step."""


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """`fields` has the number of fields of each, `spans` its bytes in `data`, which begin at `offset`."""

    data: bytes
    masked: bytes
    dialect: Dialect
    offset: int
    spans: list[tuple[int, int]]
    fields: list[int]

    def block(self, number: int) -> Block:
        start, stop = self.spans[number]
        data, masked = self.data[start:stop], self.masked[start:stop]
        return Block(self.offset + start, data, masked, len(data), self.dialect, quoted=True, doubled=True)


class Beginning:
    """The bytes from the first record of a file on, read as far as they are asked for, at most LOOKED."""

    def __init__(self, opened: Opening) -> None:
        self._data, self._buffers, self._offset = opened.data, opened.buffers, opened.start
        self._whole = False

    def records(self, dialect: Dialect, most: int = RECORDS) -> FirstRecords:
        """At most so many records, or fewer where the file has no more or is malformed behind them."""
        known = self._data[:GLANCE]
        while True:
            whole = self._whole and len(known) == len(self._data)
            found, sound = self._found(known, dialect, most, whole=whole)
            if len(found.fields) == most or not sound or whole or len(known) >= LOOKED:
                return found
            if len(known) == len(self._data):
                self._read_on()
            known = self._data

    def _read_on(self) -> None:
        """As many bytes more as there are."""
        parts, size = [self._data], len(self._data)
        wanted = min(_GROWTH * size, LOOKED)
        while size < wanted and (buffer := next(self._buffers, b"")):
            parts.append(buffer)
            size += len(buffer)
        self._whole = size < wanted
        self._data = b"".join(parts)

    def _found(self, known: bytes, dialect: Dialect, most: int, *, whole: bool) -> tuple[FirstRecords, bool]:
        """The records in the bytes *known*, and whether these are well-formed; *whole*: no byte follows."""
        sound = True
        scanner = Scanner(dialect, 0)
        try:
            masked = scanner.feed(known)
        except MalformedCsv as error:
            known, sound = known[: error.at], False
            masked = Scanner(dialect, 0).feed(known) if known else b""
        found = records(masked, dialect, keep_empty=False)
        ended = sound and whole and not scanner.inside
        count = min(most, len(found.starts) - (not ended))
        spans = [found.span(row) for row in range(max(count, 0))]
        fields = found.fields[: len(spans)].tolist()
        return FirstRecords(known, masked, dialect, self._offset, spans, fields), sound
