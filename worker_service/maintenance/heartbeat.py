"""Says that this worker lives, and hears which of its units are no longer wanted."""

import asyncio
import os
import socket
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
    for unit, attempt in runner.strays(before, set(held)):
        await ctx.units.give_back_stray(unit, attempt, ctx.worker_id)


async def leave(ctx: Context, store: WorkerStore) -> None:
    """Sign off. What still counts as ours goes back first, uncharged: a claim or a giving back may have been cut off."""
    for unit, attempt in await _beat(ctx, store):
        await ctx.units.give_back_stray(unit, attempt, ctx.worker_id)
    await store.leave(ctx.worker_id)


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
