"""Binding, serving and stopping; requests that are not even HTTP get a problem too."""

import asyncio
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
from shared.settings import Settings

DRAIN_SECONDS = 10.0
"""How long requests under way may take to end once the gateway is told to stop."""
log = structlog.get_logger()


class _Protocol(web.RequestHandler):
    """aiohttp answers what it cannot parse in plain text, before any middleware; this answers as everything else does."""

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
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL. Raises OSError when the port is taken."""
    # Bodies stay as they were sent: an upload is stored byte by byte, and a compressed spec is refused.
    runner = _Runner(build_app(settings), access_log=None, auto_decompress=False, shutdown_timeout=DRAIN_SECONDS)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stop.set)
    async with serving(settings) as url:
        log.info("gateway.listening", url=url, host=socket.gethostname())
        await stop.wait()
        log.info("gateway.stopping")
    log.info("gateway.stopped")
