"""The common shape: run once, wait for the period or a wake-up, and never stop because Postgres or Redis is away."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.errors import TransientError

log = structlog.get_logger()


async def every(
    name: str, period: timedelta, run_once: Callable[[], Awaitable[None]], wake: asyncio.Event | None = None
) -> None:
    wake = wake or asyncio.Event()
    while True:
        wake.clear()
        try:
            await run_once()
        except TransientError as error:
            log.warning("maintenance.waits", loop=name, error=error.detail)
        except Exception:
            log.exception("maintenance.bug", loop=name)
        await wait(wake, period)


async def wait(wake: asyncio.Event, period: timedelta) -> None:
    """Until the event or the end of the period.

    Not `asyncio.wait_for`, which loses a cancellation that meets the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(period.total_seconds()):
            await wake.wait()
