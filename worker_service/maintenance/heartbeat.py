"""Says that this worker lives, hears which of its units are no longer wanted, and makes room for tenants that wait."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from importlib.metadata import version

from shared.core.fairness import preempted
from shared.db.workers import WorkerStore
from shared.errors import DatabaseUnavailable
from shared.spec.version import STATE_VERSION
from worker_service.context import Context
from worker_service.runner import Runner


async def beat(ctx: Context, runner: Runner, store: WorkerStore) -> None:
    """*store* has a connection of its own: a heartbeat never queues behind the work."""
    before = runner.leases
    held = await _beat(ctx, store, able=runner.able)
    runner.stop_lost(before, {key for key, wanted in held.items() if wanted})
    if before:
        await _make_room(ctx, runner, store)
    await _give_back(ctx, runner.strays(before, set(held)))


async def _make_room(ctx: Context, runner: Runner, store: WorkerStore) -> None:
    """Each worker comes to the same conclusion about the leases of all, and preempts its own: nobody has to tell another."""
    timings = ctx.timings
    async with _answering(ctx):
        leases, waiting, free = await store.rivals(
            lease=timings.lease, state_version=STATE_VERSION, waited=timings.heartbeat
        )
    chosen = preempted(leases, waiting=waiting, free=free, protected=timings.protected)
    runner.preempt({(lease.unit, lease.attempt) for lease in chosen if lease.worker == ctx.worker_id})


async def leave(ctx: Context, store: WorkerStore) -> None:
    """Sign off.

    What still counts as ours goes back first, uncharged: a claim or a giving back may have been cut off.

    A commit that was cut off holds its unit until Postgres ends its transaction, after a lease's time; who
    left before would be called dead.
    """
    async with _within(ctx.timings.lease + ctx.timings.heartbeat):
        held = await _beat(ctx, store, able=0)
        while held:
            with suppress(DatabaseUnavailable):  # somebody holds its job's row
                await _give_back(ctx, set(held))
            if held := await _beat(ctx, store, able=0):
                await asyncio.sleep(ctx.timings.poll_idle.total_seconds())
        await store.leave(ctx.worker_id)


async def _give_back(ctx: Context, strays: set[tuple[int, int]]) -> None:
    """Over the connections of the work, one of which may be dead: the next heartbeat must not wait for it."""
    async with _within(ctx.timings.heartbeat):
        for unit, attempt in strays:
            await ctx.units.give_back_stray(unit, attempt, ctx.worker_id)


async def _beat(ctx: Context, store: WorkerStore, *, able: int) -> dict[tuple[int, int], bool]:
    async with _answering(ctx):
        return await store.beat(
            ctx.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("gristmill"),
            slots=ctx.executor.slots,
            able=able,
            draining=ctx.draining,
        )


@asynccontextmanager
async def _answering(ctx: Context) -> AsyncIterator[None]:
    """A Postgres that lets a heartbeat wait for longer than a lease will not answer what else waits for it either."""
    try:
        async with asyncio.timeout(ctx.timings.lease.total_seconds()):
            yield
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
