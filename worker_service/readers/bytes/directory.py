"""The directory of a zip file, entry by entry; it is read only if it is small."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import CorruptFile, LimitExceeded, NotSupported
from worker_service.readers.bytes.local import SourceFile, pread

MAX_DIRECTORY = 8 * 1024 * 1024
"""Bytes; an entry takes 46, and its name."""

_END, _LOCATOR, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LONGEST_COMMENT = 0xFFFF
_IN_ZIP64, _ZIP64 = 0xFFFFFFFF, 1
_UTF8 = 0x800


@dataclass(frozen=True, slots=True)
class Entry:
    """A member as the directory tells of it. `header` is the offset of its local header."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int
    mode: int


def damaged(file: SourceFile, told: str) -> CorruptFile:
    return CorruptFile(f"{file.uri}: the zip file is damaged: {told}")


def entries(file: SourceFile) -> Iterator[Entry]:
    """All that the directory lists; raises CorruptFile, LimitExceeded, NotSupported."""
    start, size, count = _extent(file)
    if size > MAX_DIRECTORY:
        told = f"the directory of the zip file takes {size:,} bytes; the most is {MAX_DIRECTORY:,}"
        raise LimitExceeded(f"{file.uri}: {told}: split the file")
    data, at = pread(file, start, size), 0
    for _ in range(count):
        fixed = data[at : at + _ENTRY.size]
        if len(fixed) < _ENTRY.size or not fixed.startswith(b"PK\x01\x02"):
            raise damaged(file, f"no entry of its directory at byte {start + at}")
        _, _, _, flags, method, _, _, crc, packed, unpacked, *sizes, _, _, mode, header = _ENTRY.unpack(fixed)
        names, extras, _ = sizes
        raw_name = data[at + _ENTRY.size :][:names]
        extra = data[at + _ENTRY.size + names :][:extras]
        at += _ENTRY.size + sum(sizes)
        unpacked, packed, header = _wide(file, (unpacked, packed, header), extra)
        yield Entry(
            _text(raw_name, flags), raw_name, flags, method, crc, packed, unpacked, header, mode >> 16
        )
    if at != size:
        raise damaged(file, f"its directory has {size:,} bytes, and {count:,} entries of {at:,} bytes")


def _extent(file: SourceFile) -> tuple[int, int, int]:
    """The directory's offset, its bytes and the number of entries."""
    tail_start = max(file.size - _END.size - _LONGEST_COMMENT, 0)
    tail = pread(file, tail_start, file.size - tail_start)
    at = _last_end(tail)
    if at < 0:
        raise damaged(file, "its directory is missing: the file is truncated, or other bytes follow it")
    _, disk, first_disk, _, count, size, start, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    locator = pread(file, max(end - _LOCATOR.size, 0), _LOCATOR.size)
    if locator.startswith(b"PK\x06\x07"):
        _, disk, end, _ = _LOCATOR.unpack(locator)
        fixed = pread(file, end, _END64.size) if end < file.size else b""
        if len(fixed) < _END64.size or not fixed.startswith(b"PK\x06\x06"):
            raise damaged(file, f"no end of its directory at byte {end}")
        _, _, _, _, disk, first_disk, _, count, size, start = _END64.unpack(fixed)
    if disk or first_disk:
        told = "the zip file is one of several that belong together; join them with `zip -s 0`"
        raise NotSupported(f"{file.uri}: {told}")
    if start + size != end:
        raise damaged(file, f"its directory ends at byte {start + size}, and should at byte {end}")
    return start, size, count


def _last_end(tail: bytes) -> int:
    """The offset of the record that ends the directory and, with its comment, the file; -1 without one."""
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail):
            break
    return at


def _wide(file: SourceFile, values: tuple[int, ...], extra: bytes) -> Iterator[int]:
    """*values*, those of them that do not fit 32 bits from the field of zip64."""
    wide, at = b"", 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            wide = extra[at + 4 :][:size]
        at += 4 + size
    for value in values:
        if value != _IN_ZIP64:
            yield value
        elif len(wide) >= 8:
            yield int.from_bytes(wide[:8], "little")
            wide = wide[8:]
        else:
            raise damaged(file, "a size of more than 32 bits is missing")


def _text(raw: bytes, flags: int) -> str:
    """UTF-8, which many programs write without saying so; else the code page of the first zip programs."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
