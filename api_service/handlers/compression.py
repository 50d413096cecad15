"""Compressing bodies as the client accepts it, outside the event loop when they are large."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from isal import isal_zlib

from api_service.wire.headers import Coding

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEAST_BYTES = 1024
"""A smaller body is sent as it is."""
_AT_ONCE_BYTES = 32 * 1024
_PIECE_BYTES = 256 * 1024


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


_COMPRESSORS: dict[Coding, Callable[[], _Compressor]] = {
    "zstd": lambda: zstd.ZstdCompressor(level=3),
    "gzip": lambda: isal_zlib.compressobj(2, wbits=31),
}


async def compressed(chunks: AsyncGenerator[bytes], coding: Coding | None) -> AsyncGenerator[bytes]:
    """*chunks* in that coding. A stream that breaks off has no end in the coding either."""
    async with aclosing(chunks):
        if coding is None:
            async for chunk in chunks:
                yield chunk
            return
        compressor, waiting, size = _COMPRESSORS[coding](), list[bytes](), 0
        async for chunk in chunks:
            waiting.append(chunk)
            size += len(chunk)
            if size >= _PIECE_BYTES:
                if made := await asyncio.to_thread(compressor.compress, b"".join(waiting)):
                    yield made
                waiting, size = [], 0
        yield await asyncio.to_thread(_last, compressor, b"".join(waiting))


async def compressed_whole(body: bytes, coding: Coding) -> bytes:
    compressor = _COMPRESSORS[coding]()
    if len(body) <= _AT_ONCE_BYTES:
        return _last(compressor, body)
    return await asyncio.to_thread(_last, compressor, body)


def _last(compressor: _Compressor, data: bytes) -> bytes:
    return compressor.compress(data) + compressor.flush()
