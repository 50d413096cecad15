"""The decompressors, all of the shape that the standard library gives bz2 and lzma."""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_WINDOW_LOG = 27
"""128 MB, which `zstd -d` accepts without an option too."""
MAX_DICTIONARY = 192 * 1024 * 1024
"""Bytes that an xz or lzma decompressor may take: `xz -9` needs 65 MB."""

ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError, RuntimeError)
"""Decompressors raise these for data that are damaged."""
TOO_LARGE = ("Memory usage limit", "too much memory")
"""Parts of the messages about a window that is too large."""
NO_MEMORY = "llocation"
"""A part of the messages of zstd and lz4 about memory that they do not get."""
WRONG_DICTIONARY = "Dictionary mismatch"


class Decompressor(Protocol):
    """Of one stream. It holds input that it has not used yet; `unused_data` follows the stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    def __init__(self, wbits: int) -> None:
        self._stream, self._held = zlib.decompressobj(wbits), b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._stream.decompress(self._held + data if self._held else data, max_length)
        self._held = self._stream.unconsumed_tail
        self.needs_input = not self._held and len(found) < max_length
        return found


class _Stored:
    """Data that are not compressed."""

    eof, needs_input, unused_data = False, True, b""

    def decompress(self, data: bytes, _: int) -> bytes:
        return data


class _ZipLzma:
    """LZMA as zip has it: a header of four bytes, the five bytes of properties, the data."""

    def __init__(self) -> None:
        self._head: bytes = b""
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_ALONE, MAX_DICTIONARY)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return self._stream.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if len(self._head) < 9:
            self._head += data
            if len(self._head) < 9:
                return b""
            size_unknown = b"\xff" * 8
            data = self._head[4:9] + size_unknown + self._head[9:]
        return self._stream.decompress(data, max_length)


_ZSTD = partial(zstd.ZstdDecompressor, options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
_XZ = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, MAX_DICTIONARY)

CODECS: dict[str, Callable[[], Decompressor]] = {
    "gzip": partial(_Inflater, 31),
    "zstd": _ZSTD,
    "bzip2": bz2.BZ2Decompressor,
    "xz": _XZ,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}
"""By the name in the spec."""

METHODS: dict[int, Callable[[], Decompressor]] = {
    0: _Stored,
    8: partial(_Inflater, -15),
    12: bz2.BZ2Decompressor,
    14: _ZipLzma,
    93: _ZSTD,
    95: _XZ,
}
"""By the number in a zip file."""
