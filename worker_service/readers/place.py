"""How to name a place in a CSV file, so that a person finds it."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import BadRow
from shared.spec.source import CsvOptions
from worker_service.readers.content import Content
from worker_service.readers.csv_split import Block, Records, RecordScanner, records
from worker_service.readers.shape import LINE_END, MASK, Dialect, Fault, Scanner

SHOWN = 200
"""Characters of raw text in a message."""
CURE = "set csv.encoding to the encoding of the files"
_PIECE = 256 * 1024
_HELD = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A CSV file as errors see it."""

    dialect: Dialect
    options: CsvOptions
    names: tuple[str, ...]
    content: Content

    def records(self, block: Block) -> Records:
        return records(block.shape, self.dialect, keep_empty=len(self.names) == 1)

    def bad(self, block: Block, span: tuple[int, int], reason: str) -> BadRow:
        start, stop = span
        text = shown(block.data[start:stop], self.dialect.encoding)
        return BadRow(f"{self.at(block.offset + start)}: {reason}; the record is {text!r}")

    def of_byte(self, block: Block, at: int, reason: str) -> str:
        """What errors say of the byte at *at* of *block*: its record, its column and the *reason*."""
        return self._of_byte(block.offset, block.data, block.shape[:at], reason)

    def _of_byte(self, offset: int, data: bytes, before: bytes, reason: str, *, column: bool = True) -> str:
        """*data* begins with a record at *offset*; *before* is the shape of what lies before the byte."""
        found = records(before + MASK, self.dialect, keep_empty=False)
        start, number = int(found.starts[-1]), int(found.fields[-1])
        name = repr(self.names[number - 1]) if number <= len(self.names) else str(number)
        ended = LINE_END.search(data, len(before))
        text = shown(data[start : ended.start() if ended else len(data)], self.dialect.encoding)
        return f"{self.at(offset + start)}: {f'column {name}: ' if column else ''}{reason}; the record is {text!r}"

    def broken(self, fault: Fault, start: int) -> BadRow:
        """The error for *fault*.

        The content is read again, from its first record at *start*, to find the record and the column.
        """
        scanner = RecordScanner(self.dialect, start)
        for piece in _first(self.content.pieces(_PIECE, start), fault.at - start):
            scanner.feed(piece)
        record, known = scanner.record, fault.at - scanner.record
        if known > _HELD:  # too much to hold for the sake of a message
            return BadRow(f"{self.at(fault.at)}: {fault.reason}")
        data = b"".join(_first(self.content.pieces(_PIECE, record), known + 4 * SHOWN))
        before = Scanner(self.dialect, record).feed(data[:known]) if known else b""
        return BadRow(self._of_byte(record, data, before, fault.reason, column=fault.in_column))

    def at(self, offset: int) -> str:
        content = self.content
        return f"{self.dialect.uri}: byte {offset}{content.offsets}, line {content.lines_before(offset) + 1}"


def _first(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """*pieces* up to *count* bytes in all."""
    for piece in pieces:
        if count <= 0:
            break
        yield piece[:count]
        count -= len(piece)


def shown(raw: bytes, encoding: str) -> str:
    """The beginning of *raw*, with bytes that are no text escaped."""
    text = raw[: 4 * SHOWN].decode(encoding, "backslashreplace")
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
