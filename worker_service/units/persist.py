"""Holding on to finished work while Postgres is away."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.core.retry import backoff
from shared.errors import DatabaseUnavailable
from worker_service.context import Context

log = structlog.get_logger()


async def persist(ctx: Context, commit: Callable[[], Awaitable[None]]) -> None:
    """Commit, again and again if Postgres is away: a computed answer is never thrown away; the fence decides if it still counts."""
    tries = 0
    while True:
        try:
            return await commit()
        except DatabaseUnavailable as error:
            log.warning("commit.waits", error=error.detail, tries=tries)
            await asyncio.sleep(backoff(tries, ctx.timings).total_seconds())
            tries += 1
