"""The data of a file, decompressed as a stream if need be: memory never depends on the file's size."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Literal

from shared.errors import CorruptFile, NotSupported
from worker_service.readers.bytes import local
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import RandomAccess, SourceFile, pread

Compression = Literal["none", "gzip", "zip"]

_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_READ, _FIRST = 256 * 1024, 256
_UNBOUNDED = 4096
"""Bytes to ask for where the decompressor bounds no output: so many become at most some 100 MB."""
_NOT_ZERO = re.compile(rb"[^\0]")
_ENCRYPTED = 1
_NAME = 200

MAX_WITHOUT_DATA = 8 * 1024 * 1024
"""Bytes of a gzip file that may follow one another without data: bounds the wait for the next byte."""


def compression_of(file: SourceFile, declared: str) -> Compression:
    """The compression that the first bytes show; raises CorruptFile if the spec declares another one."""
    start = pread(file, 0, 4)
    found: Compression = "gzip" if start.startswith(_GZIP) else "zip" if start in _ZIP else "none"
    if declared in {"gzip", "zip"} and found != declared and file.size:
        raise CorruptFile(f"{file.uri}: not a {declared} file: it starts with {start!r}")
    return "none" if declared == "none" else found


def buffers(file: SourceFile, compression: Compression, size: int) -> Iterator[bytes]:
    """The data from the beginning, in buffers of at most *size* bytes, none of them empty."""
    if compression == "none":
        return local.buffers(file, 0, file.size, size)
    return _gunzip(file, size) if compression == "gzip" else _unzip(file, size)


def _gunzip(file: SourceFile, size: int) -> Iterator[bytes]:
    """Every member of a gzip file, one after the other, as gzip itself reads them.

    Zero bytes after a member are padding. The decompressor copies the input that it does not use. So it is
    given little where a member begins, or where the data expand much.
    """
    member = zlib.decompressobj(wbits=31)
    start, read, step, filled = 0, b"", _FIRST, 0
    at = 0  # in `read`, whose first byte is byte *start* of the file
    while True:
        if at == len(read):
            start, at = start + at, 0
            read = pread(file, start, _READ)
            if not read:
                break
        if member.eof:
            at = _after_zeros(read, at)
            if start + at - filled > MAX_WITHOUT_DATA:
                raise _without_data(file, filled, start + at)
            if at == len(read):
                continue
            member, step = zlib.decompressobj(wbits=31), _FIRST
        given = read[at : at + step]
        try:
            data = member.decompress(given, size)
        except zlib.error as error:
            told = f"{file.uri}: the gzip data is damaged after byte {start + at}: {error}"
            raise CorruptFile(told) from error
        unused = len(member.unused_data if member.eof else member.unconsumed_tail)
        at += len(given) - unused
        step = max(step // 2, _FIRST) if unused else min(2 * step, _READ)
        if data:
            filled = start + at
            yield data
        elif start + at - filled > MAX_WITHOUT_DATA:
            raise _without_data(file, filled, start + at)
    yield from _drained(file, member, size)


def _after_zeros(read: bytes, at: int) -> int:
    found = _NOT_ZERO.search(read, at)
    return found.start() if found else len(read)


def _without_data(file: SourceFile, start: int, stop: int) -> CorruptFile:
    stretch = f"{stop - start:,} bytes after byte {start} of the gzip file"
    return CorruptFile(f"{file.uri}: the {stretch} hold no data: empty members or padding")


def _drained(file: SourceFile, member: "zlib._Decompress", size: int) -> Iterator[bytes]:
    while not member.eof:
        data = member.decompress(b"", size)
        if not data:
            told = f"the file ends at byte {file.size} in the middle of it"
            raise CorruptFile(f"{file.uri}: the gzip data is truncated: {told}")
        yield data


def _unzip(file: SourceFile, size: int) -> Iterator[bytes]:
    kind = "zip file"
    with ExitStack() as opened:
        with library_errors(file, kind):
            archive = opened.enter_context(zipfile.ZipFile(io.BufferedReader(RandomAccess(file), _READ)))
            info = _only_member(file, archive)
            member = opened.enter_context(archive.open(info))
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            size = min(size, _UNBOUNDED)
        found = 0
        while True:
            with library_errors(file, kind):
                data = member.read(size)
            if not data:
                break
            found += len(data)
            yield data
    if found != info.file_size:
        told = f"has {found:,} bytes, and is said to have {info.file_size:,}"
        raise CorruptFile(f"{file.uri}: {info.filename[:_NAME]!r} in the zip file {told}")


def _only_member(file: SourceFile, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not _is_clutter(PurePosixPath(info.filename))
    ]
    if len(found) != 1:
        names = ", ".join(repr(info.filename[:_NAME]) for info in found[:5]) or "nothing"
        raise CorruptFile(
            f"{file.uri}: a zip file has to hold exactly one CSV file; this one holds {len(found)} ({names})"
        )
    [info] = found
    if info.flag_bits & _ENCRYPTED:
        told = f"{info.filename[:_NAME]!r} in the zip file is encrypted; write it without a password"
        raise NotSupported(f"{file.uri}: {told}")
    return info


def _is_clutter(path: PurePosixPath) -> bool:
    return "__MACOSX" in path.parts or path.name == ".DS_Store"
