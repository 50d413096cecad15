"""The text of a file as the splitter takes it: the bytes as they are where every ASCII character is its own byte, or a stream.

A stream is what a compressed file holds, or UTF-16 turned into UTF-8; offsets are then those of the stream.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from shared.errors import InvalidEncoding
from shared.spec.encodings import WIDE
from shared.spec.source import SourceSpec
from worker_service.readers import compressed
from worker_service.readers.compressed import Container
from worker_service.readers.files import SourceFile, pieces

_PIECE = 1024 * 1024
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Content:
    """`encoding` is that of the spec."""

    file: SourceFile
    wrapped: Container
    encoding: str

    @property
    def streamed(self) -> bool:
        return self.wrapped != "none" or self.encoding in WIDE

    @property
    def offsets(self) -> str:
        """What offsets are in, where it is not the file itself."""
        if self.encoding in WIDE:
            return " of the text as UTF-8"
        return " of the decompressed data" if self.wrapped != "none" else ""

    def pieces(self, size: int, start: int = 0) -> Iterator[bytes]:
        """The content from *start* on, in pieces of about *size* bytes, none of them empty."""
        if not self.streamed:
            return pieces(self.file, start, self.file.size, size)
        stream = compressed.content(self.file, self.wrapped, size)
        return _skipped(
            _as_utf8(stream, self.file.uri, self.encoding) if self.encoding in WIDE else stream, start
        )

    def lines_before(self, offset: int) -> int:
        """Line feeds before *offset*, counted from the beginning: slow, but only an error asks."""
        lines = at = 0
        for piece in self.pieces(_PIECE):
            if at >= offset:
                break
            lines += piece.count(b"\n", 0, offset - at)
            at += len(piece)
        return lines


def content_of(file: SourceFile, source: SourceSpec) -> Content:
    return Content(file, compressed.container(file, source.compression), source.csv.encoding)


def _skipped(stream: Iterator[bytes], count: int) -> Iterator[bytes]:
    for piece in stream:
        if count < len(piece):
            yield piece[count:]
        count = max(count - len(piece), 0)


def _as_utf8(stream: Iterator[bytes], uri: str, encoding: str) -> Iterator[bytes]:
    """UTF-16, decoded as it comes. A byte order mark becomes that of UTF-8."""
    start = b""
    while len(start) < 2 and (piece := next(stream, b"")):
        start += piece
    if not start:
        return
    codec = _codec(start, uri, encoding)
    decoder = codecs.getincrementaldecoder(codec)()
    taken = lines = 0
    for piece in chain([start], stream, [b""]):
        taken += len(piece)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            at = taken - len(error.object) + error.start
            lines += error.object[: error.start].decode(codec).count("\n")
            raise InvalidEncoding(
                f"{uri}: byte {at}, line {lines + 1}: not {encoding}: {error.reason}"
            ) from error
        lines += text.count("\n")
        if text:
            yield text.encode()


def _codec(start: bytes, uri: str, encoding: str) -> str:
    """The codec that knows the byte order."""
    marked = _MARKS.get(start[:2])
    if encoding == "utf-16" and not marked:
        raise InvalidEncoding(
            f"{uri}: no byte order mark at the start; set csv.encoding to utf-16-le or utf-16-be"
        )
    if marked and encoding not in {"utf-16", marked}:
        raise InvalidEncoding(
            f"{uri}: the byte order mark at the start is that of {marked}; set csv.encoding to it"
        )
    return marked or encoding
