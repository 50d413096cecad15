"""Records of the service's CSV, in which a null differs from an empty text: `,,` and `,"",`. Pure."""

import codecs
import re
from collections.abc import Iterator
from typing import Any

Cells = list[str | None]
_CELL = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n)')


class Records:
    """Takes the bytes of a CSV stream in pieces of any size, and gives its records, the header first."""

    def __init__(self) -> None:
        self._decoder: Any = codecs.getincrementaldecoder("utf-8")()
        self._rest = ""

    def fed(self, data: bytes) -> Iterator[Cells]:
        """The records that end in *data*."""
        text = self._rest + self._decoder.decode(data)
        end = _end_of_records(text)
        self._rest = text[end:]
        record: Cells = []
        for cell, mark in _CELL.findall(text[:end]):
            record.append(cell[1:-1].replace('""', '"') if cell.startswith('"') else cell or None)
            if mark != ",":
                yield record
                record = []


def _end_of_records(text: str) -> int:
    """The place behind the last line end outside quotes."""
    end = len(text)
    while (end := text.rfind("\r\n", 0, end)) >= 0:
        if text.count('"', 0, end) % 2 == 0:
            return end + 2
    return 0
