"""Bodies: requests read within a limit, JSON answers, and streams that never end as if they were whole."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any

import msgspec
from aiohttp import web

from shared.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

STALLED_SECONDS = 30.0
"""How long a client may take to read one more block; how often the pace of a request's body is checked."""
BLOCK_BYTES = 256 * 1024
"""A client has to take so many bytes of an answer within STALLED_SECONDS."""
BODY_BYTES = 64 * 1024
"""The most of a JSON body that is no spec."""
JSON_SECONDS = 60.0
"""How long a client may take to send a spec."""
_LINGER_ZERO = struct.pack("ii", 1, 0)


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Integers with all their digits, decimals as strings, NaN and infinities as null, times in ISO 8601."""
    return encoded_response(msgspec.json.encode(document), status=status, headers=headers)


def encoded_response(
    body: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """*body* is JSON."""
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


async def defer_continue(_: web.Request) -> None:
    """Answer `Expect: 100-continue` only in `blocks`, so that a refused body is never sent."""


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
    received, checked, last, check = 0, 0, now() + seconds, now() + STALLED_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(min(check, last)):
                block = await request.content.readany()
        except TimeoutError as error:
            if now() >= last:
                raise BadRequest(f"The body did not arrive within {seconds:g} seconds") from error
            if received - checked < max(1, rate * STALLED_SECONDS):
                raise BadRequest(
                    f"The body stopped arriving: {received - checked} bytes in {STALLED_SECONDS:g} seconds, "
                    f"where at least {rate} a second are due"
                ) from error
            checked, check = received, now() + STALLED_SECONDS
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


async def json_body(request: web.Request, limit: int, *media: str) -> bytes:
    """The bytes of a body that is declared as JSON, or as one of the types *media*."""
    accepted = ("application/json", *media)
    if request.content_type not in accepted or "Content-Type" not in request.headers:
        raise UnsupportedMediaType(f"Send the body as Content-Type: {' or '.join(accepted)}")
    check_uncompressed(request)
    return b"".join([block async for block in blocks(request, limit, seconds=JSON_SECONDS)])


async def stream(
    request: web.Request, response: web.StreamResponse, chunks: AsyncGenerator[bytes]
) -> web.StreamResponse:
    """Send *chunks* as the body.

    An error before the first one is still a problem; a later one cuts the connection.
    """
    async with aclosing(chunks):
        chunk = await anext(chunks, None)
        await response.prepare(request)
        try:
            while chunk is not None and request.method != "HEAD":
                for start in range(0, len(chunk), BLOCK_BYTES):
                    await within_bound(response.write(chunk[start : start + BLOCK_BYTES]))
                chunk = await anext(chunks, None)
            await response.write_eof()
        except BaseException:
            reset(request)
            raise
    return response


async def whole(body: bytes) -> AsyncGenerator[bytes]:
    """A body that is complete already, for `stream`."""
    yield body


async def within_bound(writing: Awaitable[None]) -> None:
    """Raises ConnectionAbortedError when the client has not taken the data within STALLED_SECONDS."""
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await writing
    except TimeoutError as error:
        raise ConnectionAbortedError("the client reads too slowly") from error


def reset(request: web.Request) -> None:
    """Reset the connection: an HTTP/1.0 client takes an orderly close for the end of the body."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
        )
        request.transport.abort()
