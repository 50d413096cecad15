"""Holding on to finished work while Postgres is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.core.retry import backoff
from shared.errors import DatabaseUnavailable
from worker_service.context import Context

log = structlog.get_logger()
_T = TypeVar("_T")


async def persist(ctx: Context, commit: Callable[[], Awaitable[_T]]) -> _T:
    """Commit, again and again if Postgres is away: a computed answer is never thrown away.

    The fence decides if it still counts.
    """
    tries = 0
    while True:
        try:
            return await commit()
        except DatabaseUnavailable as error:
            log.warning("commit.waits", error=error.detail, tries=tries)
            # Sooner than the sweepers begin again, which would call a unit late that only could not be
            # committed.
            await asyncio.sleep(min(backoff(tries, ctx.timings), ctx.timings.grace / 2).total_seconds())
            tries += 1
