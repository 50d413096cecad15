"""Says that this worker lives, and hears which of its units are no longer wanted."""

import os
import socket
from importlib.metadata import version

from shared.db.workers import WorkerStore
from worker_service.context import Context
from worker_service.runner import Runner


async def beat(ctx: Context, runner: Runner, store: WorkerStore) -> None:
    """*store* has a connection of its own: a heartbeat never queues behind the work."""
    before = runner.leases
    held = await store.beat(
        ctx.worker_id,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version("gristmill"),
        slots=ctx.executor.slots,
        draining=ctx.draining,
    )
    runner.stop_lost(before, held)
    for unit, attempt in runner.strays(before, held):
        await ctx.units.give_back_stray(unit, attempt, ctx.worker_id)
