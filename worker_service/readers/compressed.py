"""The bytes inside a file: as they are, or decompressed as a stream, so that memory never depends on the file's size."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Literal

from shared.errors import CorruptFile, NotSupported
from worker_service.readers.border import reading
from worker_service.readers.files import RandomAccess, SourceFile, pieces, pread

Container = Literal["none", "gzip", "zip"]

_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_READ, _FIRST = 256 * 1024, 256
_UNBOUNDED = 4096
"""Bytes to ask for where the decompressor gives all that it has: of so many, at most some 100 MB."""
_NOT_ZERO = re.compile(rb"[^\0]")
_ENCRYPTED = 1
_NAME = 200

MAX_SILENCE = 8 * 1024 * 1024
"""Bytes of a gzip file that may go by without data, so that nothing reads on and on for the first byte."""


def container(file: SourceFile, compression: str) -> Container:
    """What the file is wrapped in, by its first bytes; raises CorruptFile if the spec says something else."""
    start = pread(file, 0, 4)
    found: Container = "gzip" if start.startswith(_GZIP) else "zip" if start in _ZIP else "none"
    if compression in {"gzip", "zip"} and found != compression and file.size:
        raise CorruptFile(f"{file.uri}: not a {compression} file: it starts with {start!r}")
    return "none" if compression == "none" else found


def content(file: SourceFile, wrapped: Container, size: int) -> Iterator[bytes]:
    """The file's bytes from the beginning, in pieces of at most *size*, none of them empty."""
    if wrapped == "none":
        return pieces(file, 0, file.size, size)
    return _gunzip(file, size) if wrapped == "gzip" else _unzip(file, size)


def _gunzip(file: SourceFile, size: int) -> Iterator[bytes]:
    """Every member of a gzip file, one after the other, as gzip itself reads them.

    Zero bytes after are padding.

    The decompressor copies what it does not use of what it is given: so that is little where a member begins,
    or expands much.
    """
    member = zlib.decompressobj(wbits=31)
    start, read, step, filled = 0, b"", _FIRST, 0
    at = 0  # in what was read from byte *start* on
    while True:
        if at == len(read):
            start, at = start + at, 0
            read = pread(file, start, _READ)
            if not read:
                break
        if member.eof:
            at = _after_zeros(read, at)
            if start + at - filled > MAX_SILENCE:
                raise _silent(file, filled, start + at)
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
        elif start + at - filled > MAX_SILENCE:
            raise _silent(file, filled, start + at)
    yield from _drained(file, member, size)


def _after_zeros(read: bytes, at: int) -> int:
    found = _NOT_ZERO.search(read, at)
    return found.start() if found else len(read)


def _silent(file: SourceFile, start: int, stop: int) -> CorruptFile:
    stretch = f"{stop - start:,} bytes after byte {start} of the gzip file"
    return CorruptFile(f"{file.uri}: the {stretch} hold no data: empty members or padding")


def _drained(file: SourceFile, member: "zlib._Decompress", size: int) -> Iterator[bytes]:
    while not member.eof:
        data = member.decompress(b"", size)
        if not data:
            raise CorruptFile(
                f"{file.uri}: the gzip data is truncated: the file ends at byte {file.size} in the middle of it"
            )
        yield data


def _unzip(file: SourceFile, size: int) -> Iterator[bytes]:
    what = "zip file"
    with ExitStack() as opened:
        with reading(file, what):
            archive = opened.enter_context(zipfile.ZipFile(io.BufferedReader(RandomAccess(file), _READ)))
            info = _only_member(file, archive)
            member = opened.enter_context(archive.open(info))
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            size = min(size, _UNBOUNDED)
        found = 0
        while True:
            with reading(file, what):
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
