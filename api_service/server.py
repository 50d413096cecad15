"""Binding, serving and stopping.

Requests that are not even HTTP get a problem too, and clients that hang are cut off.
"""

import asyncio
import errno
import ipaddress
import os
import resource
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from api_service.app import build_app
from api_service.keys import SETTINGS
from api_service.problems import problem_response
from shared.errors import BadRequest, GristmillError, InternalError
from shared.ids import new_id
from shared.process import harden
from shared.settings import Settings

DRAIN_SECONDS = 10.0
"""How long requests under way may take to end once the gateway is told to stop."""
IDLE_SECONDS = 75.0
"""How long a connection may be without a whole request head; longer than a proxy keeps its own."""
LINGER_SECONDS = 3.0
"""How long the rest of a body is read that nobody wants, so that its sender sees the answer rather than a reset connection."""
DEAF_SECONDS = 30.0
"""How long a client may take nothing of what it is sent."""
MAX_DESCRIPTORS = 65_536
RESERVED, RESERVED_SECONDS = 16, 10.0
"""Connections that are kept for health checks, and how long one of them may last."""
SPARE_DESCRIPTORS = 64 + RESERVED
FEW_CONNECTIONS = 32
_CURES = {
    False: "raise the limit of open files (ulimit -n)",
    True: "a proxy, whose clients share one address, may need a higher GRISTMILL_MAX_CONNECTIONS_PER_ADDRESS",
}
"""By whether it is the share of one address that is used up."""
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger()


class _Protocol(web.RequestHandler):
    """aiohttp answers what it cannot parse in plain text, before any middleware.

    This answers as everything else does.
    """

    reserved = False
    """Kept for health checks: nothing else is answered on it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; it ends connections whose window stays shut, too
            milliseconds = int(DEAF_SECONDS * 1000)
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds
            )

    @property
    def idle(self) -> bool:
        return self._current_request is None and not self._messages and self.transport is not None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size:
            raise ConnectionResetError("the answer had begun") from exc  # which `explain` has told
        problem: GristmillError = InternalError("Something went wrong in Gristmill")
        if status < 500:
            problem = BadRequest(
                "This is not a well-formed HTTP request: " + (message or "unreadable").splitlines()[0]
            )
        response = problem_response(problem, instance=request.path, request_id=new_id("req"))
        response.force_close()
        return response


class _Server(web.Server):
    """Holds at most *room* connections, *share* of them from one address.

    Then the oldest idle one makes room.

    Without an idle one the newcomer is one of a few that are kept for health checks: anything else is
    answered with `too_many_connections`. Of those the oldest makes room, too, so that a check is always
    answered.
    """

    def __init__(self, made: web.Server, room: int, share: int, options: dict[str, Any]) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory, **options)
        self._room, self._share = room, share
        self._clients: dict[_Protocol, str] = {}
        """Connection -> address, the oldest first; those that are kept for health checks are not among them."""
        self._held: Counter[str] = Counter()
        self._reserved: dict[_Protocol, asyncio.TimerHandle] = {}

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        assert isinstance(handler, _Protocol)
        address = _address(transport)
        crowded = self._held[address] >= self._share
        if (crowded or len(self._clients) >= self._room) and not self._make_room(
            address if crowded else None
        ):
            self._reserve(handler)
        else:
            self._clients[handler] = address
            self._held[address] += 1

    def _make_room(self, address: str | None) -> bool:
        log.warning(
            "gateway.full",
            connections=len(self._clients),
            of_address=address,
            cure=_CURES[address is not None],
        )
        oldest = next(
            (each for each, its in self._clients.items() if each.idle and address in {None, its}), None
        )
        if oldest is not None:
            self._abort(oldest)
        return oldest is not None

    def _reserve(self, handler: "_Protocol") -> None:
        if len(self._reserved) >= RESERVED:
            self._abort(next(iter(self._reserved)))
        handler.reserved = True
        self._reserved[handler] = self._loop.call_later(RESERVED_SECONDS, self._abort, handler)

    def _abort(self, handler: "_Protocol") -> None:
        transport = self._connections.get(handler)
        self._forget(handler)
        if transport is not None:
            transport.abort()
        handler.force_close()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        assert isinstance(handler, _Protocol)
        self._forget(handler)
        super().connection_lost(handler, exc)

    def _forget(self, handler: "_Protocol") -> None:
        if (address := self._clients.pop(handler, None)) is not None:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]
        if (timer := self._reserved.pop(handler, None)) is not None:
            timer.cancel()


def _address(transport: asyncio.Transport) -> str:
    """Whose connection it is: an IPv4 address, or the network of an IPv6 one, which one client has as a whole."""
    peer = transport.get_extra_info("peername")
    host = str(peer[0]).partition("%")[0] if isinstance(peer, tuple) else ""
    return str(ipaddress.ip_network(f"{host}/64", strict=False)) if ":" in host else host


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        descriptors = _descriptors()
        room = max(
            1, (descriptors - SPARE_DESCRIPTORS) // 2
        )  # a connection may be an upload, which has a file open
        if room < FEW_CONNECTIONS:
            log.warning("gateway.small", connections=room, open_files=descriptors, cure=_CURES[False])
        share = self.app[SETTINGS].max_connections_per_address or max(1, room * 3 // 4)
        return _Server(made, room, share, self._kwargs)


def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio cannot raise to anybody.

    Without descriptors it says so for each connection that waits, with a stack trace.
    """
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
        log.warning("gateway.no_descriptors", error=os.strerror(error.errno), cure=_CURES[False])
    else:
        loop.default_exception_handler(context)


def _descriptors() -> int:
    """Raise the soft limit of open files as far as it goes; the answer is what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL. Raises OSError when the port is taken."""
    # Bodies stay as they were sent: an upload is stored byte by byte, and a compressed spec is refused.
    runner = _Runner(
        build_app(settings),
        access_log=None,
        auto_decompress=False,
        shutdown_timeout=DRAIN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGER_SECONDS,
    )
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()
        loop.set_exception_handler(None)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Requests under way are finished, unless a second signal ends the process at once.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for each in _SIGNALS:
        loop.add_signal_handler(each, asked)
    log.info("gateway.hardening", **harden())
    async with serving(settings) as url:
        log.info("gateway.listening", url=url, host=socket.gethostname())
        await stop.wait()
        log.info("gateway.stopping")
    log.info("gateway.stopped")
