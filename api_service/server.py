"""Binding, serving and stopping; requests that are not even HTTP get a problem too, and clients that hang are cut off."""

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from api_service.app import build_app
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
SPARE_DESCRIPTORS = 64
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger()


class _Protocol(web.RequestHandler):
    """aiohttp answers what it cannot parse in plain text, before any middleware; this answers as everything else does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; it ends connections whose window stays shut, too
            milliseconds = int(DEAF_SECONDS * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    @property
    def idle(self) -> bool:
        return self._current_request is None and not self._messages and self.transport is not None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        problem: GristmillError = InternalError("Something went wrong in Gristmill")
        if status < 500:
            problem = BadRequest("This is not a well-formed HTTP request: " + (message or "unreadable").splitlines()[0])
        response = problem_response(problem, instance=request.path, request_id=new_id("req"))
        response.force_close()
        return response


class _Server(web.Server):
    """Holds at most *room* connections: when it is full the oldest idle one makes room, and without an idle one nobody new comes in."""

    room = 0
    _said_full = 0.0

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self.room:
            self._say_full()
            oldest = next(each for each in self._connections if each is handler or (isinstance(each, _Protocol) and each.idle))
            self._connections[oldest].abort()
            oldest.force_close()

    def _say_full(self) -> None:
        if self._loop.time() >= self._said_full + 60:
            self._said_full = self._loop.time()
            log.warning("gateway.full", connections=self.room, cure="raise the limit of open files (ulimit -n)")


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)
        server.room = max(1, (_descriptors() - SPARE_DESCRIPTORS) // 2)  # a connection may be an upload, which has a file open
        return server


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
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished, unless a second signal ends the process at once."""
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
