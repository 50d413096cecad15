"""The common shape: run once, wait for the period or a wake-up, and never stop because Postgres or Redis is away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.errors import TransientError

log = structlog.get_logger()


async def every(name: str, period: timedelta, run_once: Callable[[], Awaitable[None]], wake: asyncio.Event | None = None) -> None:
    wake = wake or asyncio.Event()
    while True:
        wake.clear()
        try:
            await run_once()
        except TransientError as error:
            log.warning("maintenance.waits", loop=name, error=error.detail)
        except Exception:
            log.exception("maintenance.bug", loop=name)
        try:
            await asyncio.wait_for(wake.wait(), period.total_seconds())
        except TimeoutError:
            continue
