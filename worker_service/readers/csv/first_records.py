"""The first records of a file under some dialect, from a bounded number of its bytes."""

from dataclasses import dataclass

from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect, MalformedCsv
from worker_service.readers.csv.masked import records
from worker_service.readers.csv.opening import Opening
from worker_service.readers.csv.scan import Scanner

RECORDS = 100
"""So many records are looked at."""
LOOKED = 4 * 1024 * 1024
"""Bytes among which they are looked for; with the last buffer they may be a few more."""
_GROWTH = 4
"""Times the bytes so far to have after the next step."""


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """`fields` has the number of fields of each, `spans` its bytes in `data`, which begin at `offset`."""

    data: bytes
    masked: bytes
    offset: int
    spans: list[tuple[int, int]]
    fields: list[int]

    def block(self, number: int) -> Block:
        start, stop = self.spans[number]
        data, masked = self.data[start:stop], self.masked[start:stop]
        count = self.fields[number] - 1
        return Block(self.offset + start, data, masked, len(data), count, quoted=True, doubled=True)


class Beginning:
    """The bytes from the first record of a file on, read as far as they are asked for, at most LOOKED."""

    def __init__(self, opened: Opening) -> None:
        self._data, self._buffers, self._offset = opened.data, opened.buffers, opened.start
        self._whole = False

    def records(self, dialect: Dialect, most: int = RECORDS) -> FirstRecords:
        """At most so many records, or fewer where the file has no more or is malformed behind them."""
        while True:
            found, sound = self._found(dialect, most)
            if len(found.fields) == most or not sound or self._whole or len(self._data) >= LOOKED:
                return found
            self._read_on()

    def _read_on(self) -> None:
        """As many bytes more as there are."""
        parts, size = [self._data], len(self._data)
        wanted = min(_GROWTH * size, LOOKED)
        while size < wanted and (buffer := next(self._buffers, b"")):
            parts.append(buffer)
            size += len(buffer)
        self._whole = size < wanted
        self._data = b"".join(parts)

    def _found(self, dialect: Dialect, most: int) -> tuple[FirstRecords, bool]:
        """The records in the bytes so far, and whether these are well-formed."""
        known, sound = self._data, True
        scanner = Scanner(dialect, 0)
        try:
            masked = scanner.feed(known)
        except MalformedCsv as error:
            known, sound = known[: error.at], False
            masked = Scanner(dialect, 0).feed(known) if known else b""
        found = records(masked, dialect, keep_empty=False)
        whole = sound and self._whole and not scanner.inside
        count = min(most, len(found.starts) - (not whole))
        spans = [found.span(row) for row in range(max(count, 0))]
        return FirstRecords(known, masked, self._offset, spans, found.fields[: len(spans)].tolist()), sound
