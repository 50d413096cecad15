"""The slots at work: claims a unit for a free slot, runs it, and goes on with the same job while there is something to do."""

import asyncio

import structlog

from shared.db.units import Lease
from shared.errors import TransientError
from worker_service.context import Context
from worker_service.executor import Child, ChildDied
from worker_service.units.run import advance, run_unit

END_SECONDS = 5.0
log = structlog.get_logger()


class Runner:
    """Owns one task a busy slot; `slot_freed` is set whenever a slot becomes free, `new_units` when there is more to ring for."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.slot_freed = asyncio.Event()
        self.new_units = asyncio.Event()
        self._strays: set[tuple[int, int]] = set()

    @property
    def free(self) -> int:
        return 0 if self._ctx.draining else self._ctx.executor.slots - len(self._tasks)

    @property
    def leases(self) -> set[tuple[int, int]]:
        """The (unit, attempt) pairs at work just now."""
        return set(self._running)

    def take(self, unit_id: int) -> None:
        """Give a unit to a free slot. With none free the message is dropped: the dispatcher rings again."""
        if self.free > 0:
            task = asyncio.create_task(self._work(unit_id))
            self._tasks.add(task)
            task.add_done_callback(self._freed)

    def _freed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.slot_freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("slot.failed", exc_info=error)

    async def _work(self, unit_id: int) -> None:
        ctx = self._ctx
        try:
            async with ctx.executor.child() as child:
                lease = await ctx.units.claim(ctx.worker_id, unit_id=unit_id)
                while lease is not None:
                    lease = await self._run(lease, child)
        except (TransientError, ChildDied) as error:
            log.warning("slot.waits", error=str(error))

    async def _run(self, lease: Lease, child: Child) -> Lease | None:
        """Run one unit; answers with the next one of the same job, if this slot may go on."""
        task = asyncio.current_task()
        assert task is not None
        key = lease.id, lease.attempt
        self._running[key] = task
        try:
            await run_unit(self._ctx, lease, child)
        finally:
            del self._running[key]
        if await advance(self._ctx, lease.job_id) or lease.kind == "plan":
            self.new_units.set()
        go_on = child.alive and not self._ctx.draining
        return await self._ctx.units.claim(self._ctx.worker_id, job_id=lease.job_id) if go_on else None

    def stop_lost(self, before: set[tuple[int, int]], held: set[tuple[int, int]]) -> None:
        """Kill the work of leases that were at work before the heartbeat and that Postgres no longer calls ours and wanted."""
        for key in before - held:
            if (task := self._running.get(key)) is not None:
                log.info("unit.stopped", unit=key[0], attempt=key[1])
                task.cancel()

    def strays(self, before: set[tuple[int, int]], held: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """Leases that Postgres calls ours and that nobody works on, at two heartbeats in a row: the answer to their claim was lost."""
        idle = held - before - self.leases
        found, self._strays = idle & self._strays, idle
        return found

    async def drain(self, patience: float) -> None:
        """Let running units finish for *patience* seconds, then stop them; they go back to pending, uncharged."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        for task in self._tasks:
            task.cancel()  # once, unlike `shared.tasks.end`: a second time would interrupt the giving back
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_SECONDS)  # with Postgres away they cannot be given back; the sweeper will
