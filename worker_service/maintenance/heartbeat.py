"""Says that this worker lives, and hears which of its units are no longer wanted."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import version

from shared.db.workers import WorkerStore
from shared.errors import DatabaseUnavailable
from worker_service.context import Context
from worker_service.runner import Runner


async def beat(ctx: Context, runner: Runner, store: WorkerStore) -> None:
    """*store* has a connection of its own: a heartbeat never queues behind the work."""
    before = runner.leases
    held = await _beat(ctx, store)
    runner.stop_lost(before, {key for key, wanted in held.items() if wanted})
    await _give_back(ctx, runner.strays(before, set(held)))


async def leave(ctx: Context, store: WorkerStore) -> None:
    """Sign off. What still counts as ours goes back first, uncharged: a claim or a giving back may have been cut off.

    A commit that was cut off holds its unit until Postgres ends its transaction, after a lease's time; who left before would be called dead.
    """
    async with _within(ctx.timings.lease + ctx.timings.heartbeat):
        held = await _beat(ctx, store)
        while held:
            with suppress(DatabaseUnavailable):  # somebody holds its job's row
                await _give_back(ctx, set(held))
            if held := await _beat(ctx, store):
                await asyncio.sleep(ctx.timings.poll_idle.total_seconds())
        await store.leave(ctx.worker_id)


async def _give_back(ctx: Context, strays: set[tuple[int, int]]) -> None:
    """Over the connections of the work, one of which may be dead: the next heartbeat must not wait for it."""
    async with _within(ctx.timings.heartbeat):
        for unit, attempt in strays:
            await ctx.units.give_back_stray(unit, attempt, ctx.worker_id)


async def _beat(ctx: Context, store: WorkerStore) -> dict[tuple[int, int], bool]:
    """A Postgres that lets a heartbeat wait for longer than a lease will not answer what else waits for it either."""
    try:
        async with asyncio.timeout(ctx.timings.lease.total_seconds()):
            return await store.beat(
                ctx.worker_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                version=version("gristmill"),
                slots=ctx.executor.slots,
                draining=ctx.draining,
            )
    except TimeoutError as error:
        ctx.pool.abort()
        raise DatabaseUnavailable("Postgres does not answer the heartbeat") from error


@asynccontextmanager
async def _within(limit: timedelta) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise DatabaseUnavailable(f"Postgres did not take the leases back within {limit}") from error
