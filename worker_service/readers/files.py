"""Files by descriptor: positioned reads only, so that a shared descriptor's offset never matters."""

import errno
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from typing_extensions import Buffer

from shared.errors import SourceChanged, SourceUnreadable
from shared.spec.types import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A regular file; `size` is in bytes, as it was when the file was fingerprinted.

    `opened` gives a descriptor that is good for one read.
    """

    opened: Callable[[], int]
    uri: str
    size: int

    @property
    def fd(self) -> int:
        return self.opened()


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a file that holds whole records.

    CSV: bytes [start, end), header and BOM excluded. A stream: the whole file. Parquet: row groups [start,
    end). `file` is the index into the planned list; `rows` is the exact number of records, or None where only
    reading tells; `guesses`, as (target, start), say where the planner thinks that the first record at or
    after a target starts, for the starts in (start, end]; `start` is a guess too, then. None where it has
    proven them all.
    """

    file: int
    start: int
    end: int
    rows: int | None
    guesses: Sequence[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """The dataset's schema and, for each chunk, its extents in file order; an empty dataset has no chunk."""

    schema: Schema
    extents: list[list[Extent]]
    format: str


def pread(file: SourceFile, start: int, size: int) -> bytes:
    """Exactly the bytes [start, start + size) that lie inside the file's recorded size."""
    if start > file.size:
        raise SourceChanged(f"{file.uri}: the file has {file.size} bytes; it was longer when it was planned")
    size = min(size, file.size - start)
    data = _pread(file, start, size)
    while len(data) < size:
        more = _pread(file, start + len(data), size - len(data))
        if not more:
            raise SourceChanged(
                f"{file.uri}: the file ends at byte {start + len(data)}; it had {file.size} bytes when it was planned"
            )
        data += more
    return data


def _pread(file: SourceFile, start: int, size: int) -> bytes:
    try:
        return os.pread(file.fd, size, start)
    except OSError as error:
        told = f"the bytes from {start:,} on cannot be read: {error.strerror or error}"
        raise SourceUnreadable(f"{file.uri}: {told}") from error


def pieces(file: SourceFile, start: int, end: int, size: int) -> Iterator[bytes]:
    """The bytes [start, end) in pieces of *size*."""
    for at in range(start, end, size):
        yield pread(file, at, min(size, end - at))


class RandomAccess(io.RawIOBase):
    """A seekable file object of its own over a shared descriptor, for libraries that want one."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "seek to before the start of the file")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = pread(self._file, self._at, len(view)) if self._at < self._file.size else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
