"""How to name a place in a CSV file, so that a person finds it."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.errors import BadRow, InvalidEncoding
from shared.spec.source import CsvOptions
from worker_service.readers.csv_split import Block, Dialect, Records, records

SHOWN = 200
"""Characters of raw text in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A CSV file as errors see it. `lines_before` counts the line feeds before an offset; it may read the file again."""

    dialect: Dialect
    options: CsvOptions
    names: tuple[str, ...]
    lines_before: Callable[[int], int]
    decompressed: bool

    def records(self, block: Block) -> Records:
        return records(block.data, self.dialect, keep_empty=len(self.names) == 1)

    def bad(self, block: Block, span: tuple[int, int], reason: str) -> BadRow:
        start, stop = span
        text = shown(block.data[start:stop])
        return BadRow(f"{self.at(block.offset + start)}: {reason}; the record is {text!r}")

    def not_utf8(self, block: Block, span: tuple[int, int]) -> InvalidEncoding:
        start, stop = span
        try:
            block.data[start:stop].decode()
        except UnicodeDecodeError as error:
            start += error.start
        octet = f"0x{block.data[start]:02x}"
        return InvalidEncoding(
            f"{self.at(block.offset + start)}: {octet} is not UTF-8; convert it first, as with: iconv -f latin1 -t utf-8"
        )

    def at(self, offset: int) -> str:
        data = " of the decompressed data" if self.decompressed else ""
        return f"{self.dialect.uri}: byte {offset}{data}, line {self.lines_before(offset) + 1}"


def shown(raw: bytes) -> str:
    """The beginning of *raw*, with bytes that are not UTF-8 escaped."""
    text = raw[: 4 * SHOWN].decode("utf-8", "backslashreplace")
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
