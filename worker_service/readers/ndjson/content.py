"""The text of an NDJSON file as blocks of whole lines, and where to cut it.

The text is the file's bytes or, if it is compressed, a stream. Offsets are then those of the stream.
"""

import codecs
import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shared.errors import BadRow, NotSupported
from shared.spec.source import SourceSpec
from worker_service.arrow import Ints
from worker_service.readers.bytes import compressed, local
from worker_service.readers.bytes.compressed import Compression, compression_of
from worker_service.readers.bytes.json_shapes import json_shape
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.bytes.signatures import LOOK

MAX_LINE = 64 * 1024 * 1024
_BUFFER, _LOOK = 1024 * 1024, 64 * 1024
_OPENED = re.compile(rb'\{\s*(?:"(?:[^"\\\n]|\\.)*"\s*:[^\n]*[{\[,]\s*)?\r?\n')
_FOLLOWING = 2
"""Lines after the first one that are looked at."""


def begins_ndjson(start: bytes) -> bool:
    """Whether content that begins with *start*, at most `LOOK` bytes of it, is NDJSON.

    The first line that is not empty has to be a JSON object. Of a long line the beginning has to be one's.
    One that is cut off may come before others.
    """
    text = start.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n")
    line, ended, _ = text.partition(b"\n")
    if not ended and len(start) >= LOOK:
        return re.match(rb'\{\s*"', text) is not None
    return _is_object(line) or (re.match(rb'\{\s*"', line) is not None and _begins_cut_off(text))


def _begins_cut_off(text: bytes) -> bool:
    """Whether whole objects follow the first line of *text*: it is a bad row then, and begins no document.

    An array in a document may have an object in one line too, but the next line begins none. Of that one
    *text* may lack the end.
    """
    _, *following = text.split(b"\n", _FOLLOWING + 1)
    first, *others = [line for line in following[:_FOLLOWING] if line.strip()] or [b""]
    return _is_object(first) and all(re.match(rb'\s*\{\s*["}]', line) for line in others)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


@dataclass(frozen=True, slots=True)
class Content:
    file: SourceFile
    compression: Compression

    @property
    def uri(self) -> str:
        return self.file.uri

    @property
    def streamed(self) -> bool:
        return self.compression != "none"

    @property
    def offsets(self) -> str:
        """The unit of offsets, for messages; empty where they count the bytes of the file."""
        return " of the decompressed data" if self.streamed else ""

    def buffers(self, size: int) -> Iterator[bytes]:
        """All of it, in buffers of at most *size* bytes."""
        if self.streamed:
            return compressed.buffers(self.file, self.compression, size)
        return local.buffers(self.file, 0, self.file.size, size)

    def line(self, offset: int) -> int:
        """The number of the line with *offset*, from 1; reads the file from its beginning."""
        return self.lines_before(offset) + 1

    def lines_before(self, offset: int) -> int:
        """Line feeds before *offset*, counted from the beginning: slow, and used for errors only."""
        lines = at = 0
        for buffer in self.buffers(_BUFFER):
            if at >= offset:
                break
            lines += buffer.count(b"\n", 0, offset - at)
            at += len(buffer)
        return lines


@dataclass(frozen=True)
class Block:
    """Whole lines: the first `size` bytes of `data`; `offset` is that of the first byte."""

    offset: int
    data: bytes
    size: int

    @cached_property
    def bounds(self) -> tuple[Ints, Ints]:
        """Start and end of every line that is not empty, without its line feed and the carriage return."""
        octets = np.frombuffer(self.data, np.uint8, self.size)
        ends = np.flatnonzero(octets == ord("\n"))
        if octets.size and octets[-1] != ord("\n"):
            ends = np.append(ends, octets.size)
        starts = np.append(np.zeros(1, np.int64), ends[:-1] + 1)[: ends.size]
        full = ends > starts
        starts, ends = starts[full], ends[full]
        ends = ends - (octets[ends - 1] == ord("\r"))
        full = ends > starts
        return starts[full], ends[full]

    def line_feeds(self) -> int:
        return self.data.count(b"\n", 0, self.size)

    def lines(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Those of the lines [first, end) of `bounds` that hold more than space, with their numbers."""
        starts, ends = (bound[first:end].tolist() for bound in self.bounds)
        for number, (start, stop) in enumerate(zip(starts, ends, strict=True), first):
            line = self.data[start:stop]
            if line.strip(b" \t\r"):
                yield number, line


def content_of(file: SourceFile, source: SourceSpec) -> Content:
    """Raises NotSupported for JSON that is not one object a line, and for other encodings."""
    compression = compression_of(file, source.compression)
    start = compressed.first_bytes(file, compression)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise NotSupported(f"{file.uri} is JSON in UTF-16: convert it to UTF-8")
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    shape = json_shape(text)
    if shape and (not shape.document or (_OPENED.match(text) and not _begins_cut_off(text))):
        lines = " over several lines" if shape.document else ""
        raise NotSupported(f"{file.uri} is {shape.name}{lines}: {shape.cure}")
    return Content(file, compression)


def start_of(content: Content) -> int:
    """The offset of the first line: a byte order mark is passed over."""
    mark = codecs.BOM_UTF8
    return len(mark) if compressed.first_bytes(content.file, content.compression).startswith(mark) else 0


def blocks(content: Content, start: int, end: int, size: int) -> Generator[Block, None, None]:
    """The lines in the bytes [start, end), in blocks of about *size* bytes; of a stream, all from *start* on.

    The end of each read of a file, a part of a line, is read again: that is cheaper than to move the rest.
    Raises errors.BadRow for a line that is too long.
    """
    if content.streamed:
        yield from _stream_blocks(content, start, min(size, MAX_LINE))
        return
    want = size = min(size, MAX_LINE)
    while start < end:
        data = pread(content.file, start, min(want, end - start))
        cut = len(data) if start + len(data) == end else data.rfind(b"\n") + 1
        if cut:
            yield Block(start, data, cut)
            start, want = start + cut, size
        elif len(data) == MAX_LINE:
            raise _too_long(content, start)
        else:
            want = min(4 * want, MAX_LINE)


def _stream_blocks(content: Content, start: int, size: int) -> Iterator[Block]:
    held: list[bytes] = []
    length, offset, skipped = 0, start, start
    for buffer in content.buffers(min(size, _BUFFER)):
        data, skipped = buffer[skipped:], max(skipped - len(buffer), 0)
        cut = data.rfind(b"\n") + 1
        if not cut or length + cut < size:
            held.append(data)
            length += len(data)
            if not cut and length > MAX_LINE:
                raise _too_long(content, offset)
            continue
        joined = b"".join((*held, data[:cut]))
        yield Block(offset, joined, len(joined))
        held, length, offset = [data[cut:]], len(data) - cut, offset + len(joined)
    if length:
        yield Block(offset, b"".join(held), length)


def _too_long(content: Content, start: int) -> BadRow:
    told = f"a line has more than {MAX_LINE:,} bytes; give NDJSON with one object a line"
    place = f"byte {start}{content.offsets}, line {content.line(start)}"
    return BadRow(f"{content.uri}: {place}: {told}")


def line_start(content: Content, target: int) -> int:
    """The first line start at or after *target*, if the file is not streamed; its size if there is none."""
    at = target - 1
    while at < content.file.size:
        data = pread(content.file, at, _LOOK)
        if (found := data.find(b"\n")) >= 0:
            return at + found + 1
        at += len(data)
    return content.file.size


def line_starts(content: Content, start: int, step: int) -> list[int]:
    """*start*, and the first line start at or after each multiple of *step*, below the end of the file."""
    starts = [start]
    while (found := line_start(content, (starts[-1] // step + 1) * step)) < content.file.size:
        starts.append(found)
    return starts
