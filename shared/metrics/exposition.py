"""The server of /metrics: a port of its own, which only Prometheus needs to reach."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from shared.metrics import BUILD, REGISTRY
from shared.settings import Settings
from shared.spec.version import STATE_VERSION

if TYPE_CHECKING:
    from aiohttp import web

log = structlog.get_logger()


async def _nothing() -> None:
    """For a process all of whose metrics are counted as they happen."""


@asynccontextmanager
async def exposed(
    settings: Settings,
    service: str,
    *collectors: Collector,
    refresh: Callable[[], Awaitable[object]] = _nothing,
) -> AsyncIterator[str | None]:
    """Serve /metrics until the block ends; yields its URL, None without GRISTMILL_METRICS_PORT.

    *collectors* are shown beside the metrics of the process, after *refresh*. A port that is taken is logged:
    the service goes on without.
    """
    if settings.metrics_port is None:
        log.info("metrics.off", cure="GRISTMILL_METRICS_PORT is the port of /metrics")
        yield None
        return
    # Only here: a worker without metrics has no HTTP.
    from aiohttp import web  # noqa: PLC0415
    from prometheus_client.aiohttp import make_aiohttp_handler  # noqa: PLC0415

    BUILD.info({"version": version("gristmill"), "state_version": str(STATE_VERSION), "service": service})
    registry = CollectorRegistry()
    for collector in (REGISTRY, *collectors):
        registry.register(collector)
    show = make_aiohttp_handler(registry)

    async def metrics(request: web.Request) -> web.StreamResponse:
        await refresh()
        return await show(request)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.metrics_host, settings.metrics_port)
        yield await _bind(runner, site, settings)
    finally:
        await runner.cleanup()


async def _bind(runner: "web.AppRunner", site: "web.TCPSite", settings: Settings) -> str | None:
    try:
        await site.start()
    except OSError as error:
        log.error(  # noqa: TRY400  # the reason says all
            "metrics.cannot_listen",
            host=settings.metrics_host,
            port=settings.metrics_port,
            error=error.strerror or str(error),
            cure="give each process on this machine a GRISTMILL_METRICS_PORT of its own, or 0",
        )
        return None
    host, port = runner.addresses[0][:2]
    url = f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"
    log.info("metrics.listening", url=url)
    return url
