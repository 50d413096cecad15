"""The data of a file, decompressed as a stream if need be: memory never depends on the file's size."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, cast

from shared.errors import CorruptFile, LimitExceeded, NotSupported
from worker_service.readers.bytes import local
from worker_service.readers.bytes.archive import checked, only_member
from worker_service.readers.bytes.codecs import (
    CODECS,
    ERRORS,
    METHODS,
    NO_MEMORY,
    TOO_LARGE,
    WRONG_DICTIONARY,
    Decompressor,
)
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.bytes.signatures import COMPRESSIONS, LOOK

Compression = Literal["none", "gzip", "zip", "zstd", "bzip2", "xz", "lz4"]

_READ, _FIRST = 256 * 1024, 256
_MAGIC = 16
_EMPTY = 1024
"""Bytes that a compressed file without data may have."""
_NOT_ZERO = re.compile(rb"[^\0]")
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
"""Begins a frame of zstd or lz4 that holds no data; then its size follows in four bytes."""
_WITH_FRAMES = {"zstd", "lz4"}

MAX_WITHOUT_DATA = 8 * 1024 * 1024
"""Bytes of a compressed file that may follow one another without data: bounds the wait for the next byte."""

FREE_EXPANSION = 256 * 1024 * 1024
"""Bytes that a file of any size may decompress to."""


def compression_of(file: SourceFile, declared: str) -> Compression:
    """The compression that the first bytes show; raises CorruptFile if the spec declares another one."""
    found = "zip" if file.member else _shown(file)
    if declared not in {"auto", "none", found} and file.size:
        told = f"not a {declared} file: it starts with {pread(file, 0, 4)!r}"
        raise CorruptFile(f'{file.uri}: {told}; set source.compression to "{found}" or "auto"')
    return cast("Compression", "none" if declared == "none" else found)


def _shown(file: SourceFile) -> str:
    start = 0
    while _SKIPPABLE.match(found := pread(file, start, _MAGIC)) and start <= MAX_WITHOUT_DATA:
        start = min(start + 8 + int.from_bytes(found[4:8], "little"), file.size)
    named = next((name for name, matches in COMPRESSIONS.items() if matches(found)), "none")
    return "zstd" if start and named not in _WITH_FRAMES else named


def buffers(file: SourceFile, compression: Compression, size: int) -> Iterator[bytes]:
    """The data from the beginning, in buffers of at most *size* bytes, none of them empty."""
    if compression == "none":
        return local.buffers(file, 0, file.size, size)
    if compression == "zip":
        return _of_member(file, size)
    return _bounded(_of_streams(file, compression, size), file, compression)


def first_bytes(file: SourceFile, compression: Compression) -> bytes:
    """The first `LOOK` bytes of the data, or all."""
    start = b""
    for buffer in buffers(file, compression, LOOK):
        start += buffer
        if len(start) >= LOOK:
            break
    return start[:LOOK]


def check_expansion(file: SourceFile, compression: Compression, data: int) -> None:
    """Raise LimitExceeded if *data* bytes are more than the file may hold."""
    most = max(file.size * file.max_expansion, FREE_EXPANSION)
    if data > most:
        told = f"its {file.size:,} bytes of {compression} hold more than {most:,} bytes of data"
        ratio = f"GRISTMILL_MAX_EXPANSION is {file.max_expansion:,} times the file"
        raise LimitExceeded(f"{file.uri}: {told}; {ratio}: raise it, or give the file decompressed")


def is_empty(file: SourceFile) -> bool:
    """Whether the file holds nothing, decompressed if need be."""
    if file.member:
        return not file.member.size
    if not file.size or file.size > _EMPTY:
        return not file.size
    compression = _shown(file)
    return compression in CODECS and not first_bytes(file, cast("Compression", compression))


def _bounded(data: Iterator[bytes], file: SourceFile, compression: Compression) -> Iterator[bytes]:
    size = 0
    for buffer in data:
        size += len(buffer)
        check_expansion(file, compression, size)
        yield buffer


def _of_member(file: SourceFile, size: int) -> Iterator[bytes]:
    member = file.member
    if member is None:
        member = only_member(file)
        check_expansion(file, "zip", member.size)
        file = replace(file, start=member.start, size=member.packed, member=member)
    packed = _Packed(file, "zip")
    return checked(packed.stream(METHODS[member.method](), size), file, member)


def _of_streams(file: SourceFile, compression: Compression, size: int) -> Iterator[bytes]:
    """Every stream of the file, one after the other. Zero bytes after a stream are padding."""
    packed = _Packed(file, compression)
    while True:
        decompressor = CODECS[compression]()
        yield from packed.stream(decompressor, size)
        if not decompressor.eof:
            told = f"the file ends at byte {file.size} in the middle of it"
            raise CorruptFile(f"{file.uri}: the {compression} data is truncated: {told}")
        if not packed.next_stream():
            return


class _Packed:
    """The bytes of a file of *compression*, given to decompressors from `at` on.

    A decompressor copies the input that it does not use. So it is given little where a stream begins, or
    where the data expand much.
    """

    def __init__(self, file: SourceFile, compression: Compression) -> None:
        self._file, self._compression = file, compression
        self._read, self._start = b"", 0
        self.at = self._filled = 0

    def stream(self, decompressor: Decompressor, size: int) -> Iterator[bytes]:
        """The data up to the end of the stream, or to the end of the bytes."""
        step = _FIRST
        while not decompressor.eof:
            hungry = decompressor.needs_input
            given = self._taken(step) if hungry else b""
            try:
                data = decompressor.decompress(given, size)
            except ERRORS as error:
                raise self._translated(error) from error
            if data:
                self._filled = self.at
                yield data
            elif hungry and not given:
                return
            self._check_filled()
            step = min(2 * step, _READ) if decompressor.needs_input else max(step // 2, _FIRST)
        self.at -= len(decompressor.unused_data or b"")
        self._filled = min(self._filled, self.at)

    def next_stream(self) -> bool:
        """Pass over zero bytes; whether another stream begins behind them. Raises CorruptFile for others."""
        while padding := self._taken(_READ):
            found = _NOT_ZERO.search(padding)
            if found:
                self.at -= len(padding) - found.start()
                break
            self._check_filled()
        start = pread(self._file, self.at, _MAGIC)
        name = self._compression
        if start and not COMPRESSIONS[name](start) and not (name in _WITH_FRAMES and _SKIPPABLE.match(start)):
            told = f"the {name} data ends at byte {self.at}, and other bytes follow it: {start[:4]!r}"
            raise CorruptFile(f"{self._file.uri}: {told}; remove them")
        return bool(start)

    def _taken(self, size: int) -> bytes:
        if self.at >= self._start + len(self._read):
            self._start, self._read = self.at, pread(self._file, self.at, _READ)
        given = self._read[self.at - self._start : self.at - self._start + size]
        self.at += len(given)
        return given

    def _check_filled(self) -> None:
        if self.at - self._filled > MAX_WITHOUT_DATA:
            stretch = (
                f"{self.at - self._filled:,} bytes after byte {self._filled} of the {self._compression} file"
            )
            told = f"the {stretch} hold no data: empty members or padding"
            raise CorruptFile(f"{self._file.uri}: {told}")

    def _translated(self, error: Exception) -> Exception:
        named, reason = f"{self._file.uri}: the {self._compression} data", str(error)
        if NO_MEMORY in reason:
            return MemoryError(reason)
        if any(part in reason for part in TOO_LARGE):
            told = "needs too much memory: its window is too large"
            return LimitExceeded(f"{named} {told}; write it with a smaller one, `zstd --long=27` or `xz -9`")
        if WRONG_DICTIONARY in reason:
            return NotSupported(f"{named} needs a dictionary; write it without one")
        return CorruptFile(f"{named} is damaged before byte {self._file.start + self.at}: {reason}")
