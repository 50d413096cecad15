"""The bytes inside a file: as they are, or decompressed as a stream, so that memory never depends on the file's size."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from shared.errors import CorruptFile
from worker_service.readers.files import RandomAccess, SourceFile, pieces, pread

Container = Literal["none", "gzip", "zip"]

_GZIP, _ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_READ = 256 * 1024


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
    """Every member of a gzip file, one after the other, as gzip itself reads them; zero bytes after the last one are padding."""
    member = zlib.decompressobj(wbits=31)
    at, rest = 0, b""
    while rest or at < file.size:
        if not rest:
            rest = pread(file, at, _READ)
            at += len(rest)
        if member.eof:
            rest = rest.lstrip(b"\0")
            if not rest:
                continue
            member = zlib.decompressobj(wbits=31)
        try:
            data = member.decompress(rest, size)
        except zlib.error as error:
            raise CorruptFile(f"{file.uri}: the gzip data is damaged before byte {at}: {error}") from error
        rest = member.unused_data if member.eof else member.unconsumed_tail
        if data:
            yield data
    yield from _drained(file, member, size)


def _drained(file: SourceFile, member: "zlib._Decompress", size: int) -> Iterator[bytes]:
    while not member.eof:
        data = member.decompress(b"", size)
        if not data:
            raise CorruptFile(f"{file.uri}: the gzip data is truncated: the file ends at byte {file.size} in the middle of it")
        yield data


def _unzip(file: SourceFile, size: int) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BufferedReader(RandomAccess(file), _READ)) as archive, archive.open(_only_member(file, archive)) as member:
            while data := member.read(size):
                yield data
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise CorruptFile(f"{file.uri}: the zip file cannot be read: {str(error) or 'it ends too early'}") from error


def _only_member(file: SourceFile, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = [info for info in archive.infolist() if not info.is_dir() and not _is_clutter(PurePosixPath(info.filename))]
    if len(found) != 1:
        names = ", ".join(repr(info.filename) for info in found[:5]) or "nothing"
        raise CorruptFile(f"{file.uri}: a zip file has to hold exactly one CSV file; this one holds {len(found)} ({names})")
    return found[0]


def _is_clutter(path: PurePosixPath) -> bool:
    return "__MACOSX" in path.parts or path.name == ".DS_Store"
