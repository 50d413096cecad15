"""Reading request bodies within a limit, and sending long answers that cannot end as if they were whole."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing

from aiohttp import web

from shared.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

STALLED_SECONDS = 30.0
"""How long a client may take to read one more block, and how often it is looked how much of a body has arrived."""
BLOCK_BYTES = 256 * 1024
"""What a client has to take of an answer within STALLED_SECONDS."""
JSON_SECONDS = 60.0
"""How long a client may take to send a spec."""
_LINGER_ZERO = struct.pack("ii", 1, 0)


async def defer_continue(_: web.Request) -> None:
    """An `Expect: 100-continue` is answered when the body is wanted (`blocks`), so that a refused body is never sent."""


async def blocks(request: web.Request, limit: int, *, seconds: float, rate: int = 1) -> AsyncIterator[bytes]:
    """The body as it arrives; raises PayloadTooLarge as soon as it is known to pass *limit* bytes.

    Raises BadRequest for a body that takes more than *seconds*, or that brings less than *rate* bytes a
    second for STALLED_SECONDS.
    """
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    now = asyncio.get_running_loop().time
    received, seen, last, look = 0, 0, now() + seconds, now() + STALLED_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(min(look, last)):
                block = await request.content.readany()
        except TimeoutError as error:
            if now() >= last:
                raise BadRequest(f"The body did not arrive within {seconds:g} seconds") from error
            if received - seen < max(1, rate * STALLED_SECONDS):
                raise BadRequest(
                    f"The body stopped arriving: {received - seen} bytes in {STALLED_SECONDS:g} seconds, where at least {rate} a second are due"
                ) from error
            seen, look = received, now() + STALLED_SECONDS
            continue
        if not block:
            return
        received += len(block)
        if received > limit:
            raise _too_large(limit)
        yield block


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes, the most that is accepted here")


def check_uncompressed(request: web.Request) -> None:
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType(
            "Send the body without a Content-Encoding; a compressed file is uploaded as it is"
        )


async def json_body(request: web.Request, limit: int) -> bytes:
    """The bytes of a body that says it is JSON."""
    if request.content_type != "application/json" or "Content-Type" not in request.headers:
        raise UnsupportedMediaType("Send the body as Content-Type: application/json")
    check_uncompressed(request)
    return b"".join([block async for block in blocks(request, limit, seconds=JSON_SECONDS)])


async def stream(
    request: web.Request, response: web.StreamResponse, parts: AsyncGenerator[bytes]
) -> web.StreamResponse:
    """Send *parts* as the body.

    An error before the first one is still a problem; a later one cuts the connection.
    """
    async with aclosing(parts):
        part = await anext(parts, None)
        await response.prepare(request)
        try:
            while part is not None and request.method != "HEAD":
                for start in range(0, len(part), BLOCK_BYTES):
                    await _taken(response.write(part[start : start + BLOCK_BYTES]))
                part = await anext(parts, None)
            await response.write_eof()
        except BaseException:
            _cut(request)
            raise
    return response


async def whole(body: bytes) -> AsyncGenerator[bytes]:
    """A body that is there already, for `stream`."""
    yield body


async def _taken(writing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await writing
    except TimeoutError as error:
        raise ConnectionAbortedError("the client reads too slowly") from error


def _cut(request: web.Request) -> None:
    """Reset the connection: to HTTP/1.0 clients an orderly close would look like the end of the body."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
        )
        request.transport.abort()
