"""Lines and marks before the first record: byte order mark, `sep=`, skipped and empty lines, comments."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from shared.errors import InvalidEncoding, SourceEmpty
from worker_service.readers.csv.dialect import LINE_END
from worker_service.readers.csv.file import CsvFile

BUFFER = 64 * 1024
"""Bytes to ask for at a time while looking for the first records."""

HEAD = 16 * 1024 * 1024
"""Bytes that may stand before the first record."""

_MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "gb18030": "\ufeff".encode("gb18030"),
}
"""Byte order marks that no file begins with by chance."""

_SEPARATOR = re.compile(rb'("?)sep=([^\r\n"])\1(?:\r\n?|\n|\Z)', re.IGNORECASE)
"""The line with which Excel is told the delimiter."""
_LONGEST = 16
"""Bytes that hold the longest mark and the `sep=` line."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first record begins at *start*, in *data*, which *buffers* follow.

    `separator` is the character of a `sep=` line, empty without one. That line may be `skipped`.
    """

    start: int
    data: bytes
    buffers: Iterator[bytes]
    separator: bytes
    skipped: bool


def opening(file: CsvFile) -> Opening:
    """Raises SourceEmpty if no record begins, InvalidEncoding for a byte order mark of another encoding."""
    buffers = file.buffers(BUFFER)
    data = bytearray()
    _fill(data, _LONGEST, buffers)
    at = _mark(bytes(data[:_LONGEST]), file)
    first = _SEPARATOR.match(data, at)
    at = _after_lines(data, at, buffers, file)
    _fill(data, at + _LONGEST, buffers)
    here = _SEPARATOR.match(data, at)
    found = here or first
    at = here.end() if here else at
    offset, rest = _first_start(at, chain([bytes(data[at:])], buffers), file)
    return Opening(offset, rest, buffers, found[2] if found else b"", found is not here)


def _fill(data: bytearray, size: int, buffers: Iterator[bytes]) -> None:
    while len(data) < size and (buffer := next(buffers, b"")):
        data += buffer


def _after_lines(data: bytearray, at: int, buffers: Iterator[bytes], file: CsvFile) -> int:
    """The offset after the lines to skip; *data*, which begins the file, grows as far as it has to."""
    for _ in range(file.options.skip_rows):
        while not (ended := LINE_END.search(data, at)) or ended.end() == len(data):
            size = len(data)
            _fill(data, size + 1, buffers)
            if len(data) == size:
                break
            _check(size, file)
        at = ended.end() if ended else len(data)
        if at == len(data):
            break
    return at


def _first_start(offset: int, buffers: Iterator[bytes], file: CsvFile) -> tuple[int, bytes]:
    """The offset of the first record behind empty lines and comments, and the rest of its buffer.

    *offset* is that of the first of *buffers*.
    """
    comment = rb"|%b[^\r\n]*+" % re.escape(file.dialect.comment) if file.dialect.comment else b""
    lines, rest_of_line = re.compile(rb"(?:[\r\n]++%b)*+" % comment), re.compile(rb"[^\r\n]*+")
    commented = False
    for buffer in buffers:
        at = rest_of_line.match(buffer).end() if commented else 0  # type: ignore[union-attr] # it matches everything
        at = lines.match(buffer, at).end()  # type: ignore[union-attr]
        _check(offset + at, file)
        if at < len(buffer):
            return offset + at, buffer[at:]
        offset += at
        commented = buffer[-1:] not in (b"", b"\r", b"\n")
    skips = {
        "behind csv.skip_rows": file.options.skip_rows,
        "before csv.skip_footer": file.options.skip_footer,
    }
    skipped = " and".join(f" {place}" for place, lines in skips.items() if lines)
    raise SourceEmpty(f"{file.uri}: the file is empty{skipped}: it has not even a header")


def _check(size: int, file: CsvFile) -> None:
    if size > HEAD:
        raise SourceEmpty(
            f"{file.uri}: no record begins in the first {HEAD:,} bytes{file.content.offsets}: "
            "they hold only skipped lines, empty lines and comments; "
            "remove them, or check csv.skip_rows and csv.comment"
        )


def _mark(data: bytes, file: CsvFile) -> int:
    """The length of the byte order mark; raises InvalidEncoding for that of another encoding."""
    for encoding, mark in _MARKS.items():
        if data.startswith(mark) and encoding != file.dialect.encoding:
            told = f"the file begins with the byte order mark of {encoding}; set csv.encoding to {encoding}"
            raise InvalidEncoding(f"{file.uri}: {told}")
    mark = _MARKS.get(file.dialect.encoding, b"")
    return len(mark) if data.startswith(mark) else 0
