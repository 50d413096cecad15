"""Files by descriptor: positioned reads only, so that the offset of a shared descriptor never matters."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from typing_extensions import Buffer

from shared.core.plan import Member
from shared.errors import SourceChanged, SourceUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A regular file, or a member of a zip file. Its packed data are `size` bytes from byte `start` on.

    `opened` gives a descriptor that is good for one read. `size` is that of the time of the plan.
    `max_expansion` bounds the ratio of the decompressed bytes to `size`. Without `passes`, a plan does not
    read all of it to find where records begin.
    """

    opened: Callable[[], int]
    uri: str
    size: int
    start: int = 0
    member: Member | None = None
    max_expansion: int = sys.maxsize
    passes: bool = True

    @property
    def fd(self) -> int:
        return self.opened()


def pread(file: SourceFile, start: int, size: int) -> bytes:
    """Exactly the bytes [start, start + size) that lie inside the file's recorded size."""
    if start > file.size:
        raise SourceChanged(f"{file.uri}: the file has {file.size} bytes; it was longer when it was planned")
    size = min(size, file.size - start)
    data = _pread(file, start, size)
    while len(data) < size:
        more = _pread(file, start + len(data), size - len(data))
        if not more:
            end = start + len(data)
            told = f"the file ends at byte {end}; it had {file.size} bytes when it was planned"
            raise SourceChanged(f"{file.uri}: {told}")
        data += more
    return data


def _pread(file: SourceFile, start: int, size: int) -> bytes:
    try:
        return os.pread(file.fd, size, file.start + start)
    except OSError as error:
        told = f"the bytes from {start:,} on cannot be read: {error.strerror or error}"
        raise SourceUnreadable(f"{file.uri}: {told}") from error


def buffers(file: SourceFile, start: int, end: int, size: int) -> Iterator[bytes]:
    """The bytes [start, end), *size* at a time."""
    for at in range(start, end, size):
        yield pread(file, at, min(size, end - at))


class RandomAccess(io.RawIOBase):
    """A seekable file object over a shared descriptor, for libraries that want one."""

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

    def read(self, size: int | None = -1) -> bytes:
        """Arrow reads so. Without this, `RawIOBase` copies the bytes twice, into new memory each time."""
        rest = max(self._file.size - self._at, 0)
        asked = rest if size is None or size < 0 else min(size, rest)
        data = pread(self._file, self._at, asked) if rest else b""
        self._at += len(data)
        return data

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)
