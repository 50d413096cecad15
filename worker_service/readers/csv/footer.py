"""Cuts the last lines off a file, of its tail or of a stream."""

from collections.abc import Iterator

import numpy as np

from shared.errors import LimitExceeded
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.csv.masked import Positions

MAX_FOOTER = 16 * 1024 * 1024
"""Bytes of the lines that are cut off: they are held in memory."""
_TAIL = 64 * 1024
_LF, _CR = b"\n\r"


def footer_start(file: SourceFile, lines: int) -> int:
    """The offset of the last *lines* lines of *file*; 0 if it has no more. Raises LimitExceeded."""
    size = _TAIL
    while True:
        start = max(file.size - size, 0)
        starts = _line_starts(pread(file, start, file.size - start), first=not start)
        if starts.size >= lines:
            return start + int(starts[-lines])
        if not start:
            return 0
        if size > MAX_FOOTER:
            raise _too_long(lines, file.uri)
        size *= 4


def without_footer(stream: Iterator[bytes], lines: int, uri: str) -> Iterator[bytes]:
    """*stream* without its last *lines* lines, in buffers of which none is empty. Raises LimitExceeded."""
    held, first = b"", True
    for buffer in stream:
        held += buffer
        starts = _line_starts(held, first=first)
        cut = int(starts[-lines]) if starts.size >= lines else 0
        if len(held) - cut > MAX_FOOTER:
            raise _too_long(lines, uri)
        if cut:
            yield held[:cut]
            held, first = held[cut:], True


def _line_starts(data: bytes, *, first: bool) -> Positions:
    """The positions in *data* at which a line begins; *first*: one begins at 0."""
    octets = np.frombuffer(data, np.uint8)
    ends = octets == _LF
    ends[:-1] |= (octets[:-1] == _CR) & (octets[1:] != _LF)
    starts = np.flatnonzero(ends[:-1]) + 1
    return np.concatenate([[0], starts]) if first and data else starts


def _too_long(lines: int, uri: str) -> LimitExceeded:
    told = f"the last {lines:,} lines have more than {MAX_FOOTER:,} bytes"
    return LimitExceeded(f"{uri}: {told}; lower csv.skip_footer, or remove them from the file")
