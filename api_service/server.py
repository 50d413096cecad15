"""Binding, serving and stopping.

Theory of operation. aiohttp has no limit of connections, and one client could take all file descriptors. So
the gateway counts connections, in all and by address, and at a limit the oldest idle connection makes room.
Without an idle one, the new connection is *reserved*: one of a few that answer health checks only. So a
crowded gateway is still seen to be alive. Connections of trusted proxies are counted in all only: behind one,
each client has its share of the requests under way (api_service.shares).

Requests that are not even HTTP get a problem too, and clients that take nothing of their answers are cut off.

aiohttp has no public way to wrap its server, or to see whether a connection is idle. The private names that
this needs are `AppRunner._make_server`, and `_current_request` and `_messages` of `RequestHandler`: each use
says why. tests/unit/api/test_server.py fails when aiohttp changes one, and pyproject.toml allows only the
minor version that it was tried with.
"""

import asyncio
import errno
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import structlog
from aiohttp import web

from api_service.app import build_app
from api_service.app_keys import SETTINGS, SHARES
from api_service.auth.forwarded import is_trusted
from api_service.middleware import REQUEST_IDS, X_REQUEST_ID
from api_service.problems import problem_response
from api_service.shares import Shares, one_client
from shared.addresses import Network
from shared.errors import BadRequest, GristmillError, InternalError
from shared.process import harden
from shared.settings import Settings

DRAIN_SECONDS = 10.0
"""How long requests under way may take to end once the gateway is told to stop."""
IDLE_SECONDS = 75.0
"""How long a connection may go without a whole request head; longer than a proxy keeps its own."""
LINGER_SECONDS = 3.0
"""How long the rest of a refused body is read, so that its sender sees the answer, not a reset connection."""
UNREAD_SECONDS = 30.0
"""How long a client may take nothing of its answer."""
MAX_DESCRIPTORS = 65_536
RESERVED, RESERVED_SECONDS = 16, 10.0
"""How many connections are reserved for health checks, and how long one of them may last."""
SPARE_DESCRIPTORS = 64 + RESERVED
FEW_CONNECTIONS = 32
_CURES = {
    False: "raise the limit of open files (ulimit -n)",
    True: "if it is a proxy, whose clients share one address, list it in GRISTMILL_TRUSTED_PROXIES",
}
"""By whether one address has used up its share."""
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger()


class Connection(web.RequestHandler):
    """A connection. A request that cannot be parsed is answered with a problem; aiohttp sends plain text."""

    reserved = False
    """Answers health checks only."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # aiohttp's own `transport` is None once it has begun to close.
        self._opened = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; it ends connections whose window stays shut, too
            milliseconds = int(UNREAD_SECONDS * 1000)
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds
            )

    @property
    def idle(self) -> bool:
        """Open, with no request under way and none that waits: such a connection can be closed at no loss."""
        # aiohttp tells this publicly only for all connections together (`Server.requests_count`).
        return self._current_request is None and not self._messages and self.transport is not None

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._opened.abort()
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size:
            raise ConnectionResetError("the answer had begun") from exc  # which is logged already
        problem: GristmillError = InternalError("Something went wrong in Gristmill")
        if status < 500:
            problem = BadRequest(
                "This is not a well-formed HTTP request: " + (message or "unreadable").splitlines()[0]
            )
        request_id = next(REQUEST_IDS)
        response = problem_response(problem, instance=request.path, request_id=request_id)
        response.headers[X_REQUEST_ID] = request_id  # no middleware has seen the request
        response.force_close()
        return response


class BoundedServer(web.Server):
    """Holds at most *limit* connections, of each address but the *proxies* no more than its share.

    At the limit the oldest idle connection is closed. Without an idle one, the new connection is reserved:
    all but health checks is answered there with `too_many_connections`. The oldest reserved one makes room
    for the next, so that a health check is always answered.
    """

    def __init__(self, made: web.Server, limit: int, shares: Shares, proxies: Sequence[Network]) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory)
        self._limit, self._shares, self._proxies = limit, shares, proxies
        self._clients: dict[Connection, str | None] = {}
        """Connection -> address, None for a proxy, the oldest first, without the reserved ones."""
        self._reserved: dict[Connection, asyncio.TimerHandle] = {}

    def __call__(self) -> web.RequestHandler:
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None; middleware.log_request logs
            auto_decompress=False,  # an upload is stored byte by byte, and a compressed spec is refused
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        assert isinstance(handler, Connection)
        address = self._address(transport)
        crowded = address is not None and self._shares.is_full(address)
        full = crowded or len(self._clients) >= self._limit
        if full and not self._make_room(address if crowded else None):
            self._reserve(handler)
        else:
            self._clients[handler] = address
            if address is not None:
                self._shares.take(address)

    def _address(self, transport: asyncio.Transport) -> str | None:
        peer = transport.get_extra_info("peername")
        host = str(peer[0]).partition("%")[0] if isinstance(peer, tuple) else ""
        return None if is_trusted(host, self._proxies) else one_client(host)

    def _make_room(self, address: str | None) -> bool:
        """Close the oldest idle connection, of *address* if there is one; False without an idle one."""
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

    def _reserve(self, connection: Connection) -> None:
        if len(self._reserved) >= RESERVED:
            self._abort(next(iter(self._reserved)))
        connection.reserved = True
        timer = asyncio.get_running_loop().call_later(RESERVED_SECONDS, self._abort, connection)
        self._reserved[connection] = timer

    def _abort(self, connection: Connection) -> None:
        self._forget(connection)
        connection.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        assert isinstance(handler, Connection)
        self._forget(handler)
        super().connection_lost(handler, exc)

    def _forget(self, connection: Connection) -> None:
        if (address := self._clients.pop(connection, None)) is not None:
            self._shares.give_back(address)
        if (timer := self._reserved.pop(connection, None)) is not None:
            timer.cancel()


class BoundedRunner(web.AppRunner):
    # An AppRunner makes its own server. A ServerRunner would take ours, but end the application too late: its
    # `on_shutdown` has to run while requests still wait.
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        descriptors = _raise_descriptor_limit()
        # Two for a connection, since it may be an upload, which has a file open.
        limit = max(1, (descriptors - SPARE_DESCRIPTORS) // 2)
        if limit < FEW_CONNECTIONS:
            log.warning("gateway.small", connections=limit, open_files=descriptors, cure=_CURES[False])
        settings, shares = self.app[SETTINGS], self.app[SHARES]
        shares.most = settings.max_connections_per_address or max(1, limit * 3 // 4)
        return BoundedServer(made, limit, shares, settings.trusted_proxies)


def log_unraised(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error that asyncio can raise to no task.

    Without descriptors there is one for each connection that waits: one line, then, without a stack trace.
    """
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
        log.warning("gateway.no_descriptors", error=os.strerror(error.errno), cure=_CURES[False])
    else:
        loop.default_exception_handler(context)


def _raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as it goes; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL. Raises OSError when the port is taken."""
    runner = BoundedRunner(build_app(settings), shutdown_timeout=DRAIN_SECONDS)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_unraised)
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

    def stop_once() -> None:
        stop.set()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for each in _SIGNALS:
        loop.add_signal_handler(each, stop_once)
    log.info("gateway.hardening", **harden())
    async with serving(settings) as url:
        log.info("gateway.listening", url=url, host=socket.gethostname())
        await stop.wait()
        log.info("gateway.stopping")
    log.info("gateway.stopped")
