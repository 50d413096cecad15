"""The decompressors, all of the shape that the standard library gives bz2 and lzma."""

import bz2
import lzma
import sys
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

import lz4.frame
from isal.igzip_lib import DECOMP_DEFLATE, DECOMP_GZIP_NO_HDR_VER, IgzipDecompressor, IsalError

from worker_service.readers.bytes.gzip_header import header_size

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_WINDOW_LOG = 27
"""128 MB, which `zstd -d` accepts without an option too."""
MAX_DICTIONARY = 192 * 1024 * 1024
"""Bytes that an xz or lzma decompressor may take: `xz -9` needs 65 MB."""

_ISAL_ERROR = cast("type[Exception]", IsalError)  # its stub tells an instance
ERRORS = (_ISAL_ERROR, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError, RuntimeError)
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
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """Inflates by ISA-L, which checks the data's checksum and length.

    The header is read here. ISA-L passes over unknown flags, and it refuses a header with a checksum if a
    buffer ends inside it.
    """

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._stream = IgzipDecompressor(flag=DECOMP_GZIP_NO_HDR_VER)

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
        if self._head is not None:
            self._head += data
            size = header_size(self._head)
            if not size:
                return b""
            data, self._head = self._head[size:], None
        return self._stream.decompress(data, max_length)


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
    "gzip": _Gzip,
    "zstd": _ZSTD,
    "bzip2": bz2.BZ2Decompressor,
    "xz": _XZ,
    "lz4": lz4.frame.LZ4FrameDecompressor,
}
"""By the name in the spec."""

METHODS: dict[int, Callable[[], Decompressor]] = {
    0: _Stored,
    8: partial(IgzipDecompressor, flag=DECOMP_DEFLATE),
    12: bz2.BZ2Decompressor,
    14: _ZipLzma,
    93: _ZSTD,
    95: _XZ,
}
"""By the number in a zip file."""
