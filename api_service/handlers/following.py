"""Following a job: the stream of its news in any encoding, such as events in JSON or parts of a page.

A stream keeps nothing but the view that its client has seen. A slow client skips the views between, and costs
no memory. News are encoded once for all streams, and go straight to the transport of each.
aiohttp-sse would encode them again for each stream, and give each a task for pings.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from aiohttp import HttpVersion11, web

from api_service.app_keys import JOBS
from api_service.auth.middleware import authenticate
from api_service.handlers.bodies import reset, within_bound
from api_service.services.jobs import PRESENT_SECONDS, JobView
from api_service.services.watching import Feed
from api_service.wire.events import BEGINNING, PING
from shared.errors import TransientError, UsageError

PING_SECONDS = 15.0
"""Proxies cut connections that say nothing for 30 to 60 s."""
CHECK_SECONDS = 8.0
"""Between two checks of the client's key; with the time that the authenticator's answer may be old: 30 s."""
BUFFER_BYTES = 64 * 1024
"""About the most that waits for a client in the kernel. In this process the rest of one event may wait."""
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


News = Callable[[JobView, JobView | None], bytes]
"""The messages that bring a client from the view that it has seen to a newer one.

It has seen none at first. No bytes: there is nothing new for it.
"""


async def follow(request: web.Request, view: JobView, news: News) -> web.StreamResponse:
    """Send the news of a job, of which *view* is a present view, until it is done or gone."""
    response = web.StreamResponse(headers=_HEADERS)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    with request.app[JOBS].watcher.following((view.job.tenant, view.job.id), view) as feed:
        await response.prepare(request)
        try:
            if request.method != "HEAD":
                await _send(request, response, feed, news)
            await response.write_eof()
        except ConnectionError:  # the client is gone, or takes nothing
            reset(request)
    return response


class _Stream:
    """One client of a feed, and the view that it has seen.

    News are written as the feed tells them. A client that is *behind* has not taken all of the last ones.
    The handler then waits for it, and the next ones skip those between.
    """

    def __init__(
        self, transport: asyncio.Transport, feed: Feed[JobView], news: News, *, chunked: bool
    ) -> None:
        self._transport, self._feed, self._news, self._chunked = transport, feed, news, chunked
        self.seen: JobView | None = None
        self.behind = False
        self.written = time.monotonic()
        self._wanted = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self._feed.ended or (self.seen is not None and self.seen.job.done)

    def hear(self) -> None:
        """Write the news, if there are any."""
        if not self.behind:
            news = self._news(self._feed.view, self.seen)
            if not news or self.write(news):
                self.seen = self._feed.view
        if self.behind or self.ended:
            self._wanted.set()

    def write(self, data: bytes) -> bool:
        """Write *data* at once, if the client has taken all before."""
        free = not (self._transport.is_closing() or self._transport.get_write_buffer_size())
        if free:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            self.written = time.monotonic()
        self.behind = not free or self._transport.get_write_buffer_size() > 0
        return free

    async def wanted(self, seconds: float) -> None:
        """Wait until the handler has to do something, at most *seconds*."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        self._wanted.clear()


async def _send(request: web.Request, response: web.StreamResponse, feed: Feed[JobView], news: News) -> None:
    """Send the news until the job is done, the feed ends, or the client's key is not good any more."""
    transport = request.transport
    if transport is None:
        return
    _bound_buffers(transport)
    await within_bound(response.write(BEGINNING))  # with the headers
    stream = _Stream(transport, feed, news, chunked=response.chunked)
    check = time.monotonic() + CHECK_SECONDS
    with feed.telling(stream.hear):
        stream.hear()
        while request.transport is not None and not transport.is_closing():
            if stream.behind:
                await within_bound(request.writer.drain())
                stream.behind = False
                stream.hear()
                continue
            if stream.ended:
                return
            now = time.monotonic()
            if now >= check:
                if not await _still_allowed(request):
                    return
                check = now + CHECK_SECONDS
            if now >= stream.written + PING_SECONDS:
                stream.write(PING)
            else:
                await stream.wanted(min(PRESENT_SECONDS, min(stream.written + PING_SECONDS, check) - now))


async def _still_allowed(request: web.Request) -> bool:
    try:
        await authenticate(request)
    except UsageError:
        return False
    except TransientError:  # Postgres is away: there is nothing new to send either
        return True
    return True


def _bound_buffers(transport: asyncio.Transport) -> None:
    """A slow client must not find the events of the last minutes in front of the newest.

    It is behind as soon as one byte waits in this process.
    """
    transport.set_write_buffer_limits(high=0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
