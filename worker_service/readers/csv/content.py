"""The text of a CSV file, in an encoding in which every ASCII character is one byte of its own.

These are the file's bytes, or a stream: the decompressed data, UTF-16 turned into UTF-8. Offsets are then
those of the stream.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from shared.errors import InvalidEncoding
from shared.spec.encodings import WIDE
from shared.spec.source import SourceSpec
from worker_service.readers.bytes import compressed, local
from worker_service.readers.bytes.compressed import Compression, compression_of
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.csv.dialect import LINE_END
from worker_service.readers.csv.footer import footer_start, without_footer

_BUFFER = 1024 * 1024
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Content:
    """`encoding` is the spec's. The last *footer* lines of the file are left out.

    `end` is the offset behind the content in the file; it means nothing for a stream.
    """

    file: SourceFile
    compression: Compression
    encoding: str
    footer: int
    end: int

    @property
    def streamed(self) -> bool:
        return self.compression != "none" or self.encoding in WIDE

    @property
    def offsets(self) -> str:
        """The unit of offsets, for messages; empty where they count the bytes of the file."""
        if self.encoding in WIDE:
            return " of the text as UTF-8"
        return " of the decompressed data" if self.compression != "none" else ""

    def buffers(self, size: int, start: int = 0) -> Iterator[bytes]:
        """The content from *start* on, in buffers of about *size* bytes, none of them empty."""
        if not self.streamed:
            return local.buffers(self.file, start, self.end, size)
        stream = compressed.buffers(self.file, self.compression, size)
        if self.encoding in WIDE:
            stream = _as_utf8(stream, self.file.uri, self.encoding)
        if self.footer:
            stream = without_footer(stream, self.footer, self.file.uri)
        return _from(stream, start)

    def lines_before(self, offset: int) -> int:
        """Line feeds before *offset*, counted from the beginning: slow, and used for errors only."""
        lines = at = 0
        for buffer in self.buffers(_BUFFER):
            if at >= offset:
                break
            lines += buffer.count(b"\n", 0, offset - at)
            at += len(buffer)
        return lines

    def line_ends_before(self, offset: int) -> int:
        """Line ends of any kind before *offset*, counted from the beginning: for errors only."""
        ends, last = 0, b""
        for buffer in self.buffers(_BUFFER):
            part = buffer[: max(offset, 0)]
            ends += len(LINE_END.findall(part)) - (last == b"\r" and part[:1] == b"\n")
            offset, last = offset - len(buffer), part[-1:]
            if offset <= 0:
                break
        return ends


def content_of(file: SourceFile, source: SourceSpec) -> Content:
    """Raises LimitExceeded for a footer that is too long."""
    compression, footer = compression_of(file, source.compression), source.csv.skip_footer
    content = Content(file, compression, source.csv.encoding, footer, file.size)
    if not footer or content.streamed:
        return content
    return replace(content, end=footer_start(file, footer))


def _from(stream: Iterator[bytes], start: int) -> Iterator[bytes]:
    for buffer in stream:
        if start < len(buffer):
            yield buffer[start:]
        start = max(start - len(buffer), 0)


def _as_utf8(stream: Iterator[bytes], uri: str, encoding: str) -> Iterator[bytes]:
    """UTF-16 as UTF-8. A byte order mark becomes that of UTF-8."""
    start = b""
    while len(start) < 2 and (buffer := next(stream, b"")):
        start += buffer
    if not start:
        return
    codec = _codec(start, uri, encoding)
    decoder = codecs.getincrementaldecoder(codec)()
    taken = lines = 0
    for buffer in chain([start], stream, [b""]):
        taken += len(buffer)
        try:
            text = decoder.decode(buffer, final=not buffer)
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
    """The codec with the byte order."""
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
