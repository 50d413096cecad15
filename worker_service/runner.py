"""The slots at work: a free slot claims a unit, runs it, and goes on while there is something to do."""

import asyncio

import structlog

from shared.db.units import Lease
from shared.errors import TransientError
from shared.fault_points import reached
from worker_service.context import Context
from worker_service.executor import Child, ChildDied
from worker_service.units.run import advance, run_unit

END_SECONDS = 5.0
log = structlog.get_logger()


class Runner:
    """Owns one task a busy slot.

    `slot_freed` is set whenever a slot becomes free or its child ready, `new_units` when there may be more to
    ring for.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[tuple[int, int], tuple[asyncio.Task[None], Child]] = {}
        self._served: str | None = None
        self.slot_freed = ctx.executor.child_ready
        self.new_units = asyncio.Event()
        self._strays: set[tuple[int, int]] = set()
        self._stopped = False

    @property
    def free(self) -> int:
        executor = self._ctx.executor
        return 0 if self._ctx.draining else min(executor.slots - len(self._tasks), executor.ready)

    @property
    def able(self) -> int:
        """How many slots are at work or can take some."""
        return min(self._ctx.executor.slots, len(self._tasks) + self._ctx.executor.ready)

    @property
    def leases(self) -> set[tuple[int, int]]:
        """The (unit, attempt) pairs at work just now."""
        return set(self._running)

    def take(self) -> None:
        """Set a free slot to work.

        With none free the message is dropped: a slot looks for more work before it rests.
        """
        if self.free > 0:
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._freed)

    def _freed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.slot_freed.set()
        if task.cancelled():
            self.new_units.set()  # nobody rings for a busy slot, and this one ended without another look
        elif (error := task.exception()) is not None:
            self.new_units.set()
            log.error("slot.failed", exc_info=error)

    async def _work(self) -> None:
        """Units as long as there are any: of the same job while it is this job's turn, else the fairest."""
        ctx = self._ctx
        try:
            async with ctx.executor.child() as child:
                lease = await ctx.units.claim_fairest(ctx.worker_id, after=self._served)
                while lease is not None:
                    await self._run(lease, child)
                    lease = await self._next(lease, go_on=child.alive and not ctx.draining)
        except (TransientError, ChildDied, OSError) as error:
            log.warning("slot.waits", error=str(error))
            asyncio.get_running_loop().call_later(ctx.timings.dispatch.total_seconds(), self.take)

    async def _run(self, lease: Lease, child: Child) -> None:
        task = asyncio.current_task()
        assert task is not None
        key = lease.id, lease.attempt
        self._running[key] = task, child
        self._served = lease.job_id
        try:
            again = await run_unit(self._ctx, lease, child)
        finally:
            self._running.pop(key, None)
        if again is not None:
            asyncio.get_running_loop().call_later(again.total_seconds(), self.new_units.set)
        elif lease.kind == "plan":
            self.new_units.set()

    async def _next(self, last: Lease, *, go_on: bool) -> Lease | None:
        """The unit to go on with. Fan-in has to look only when none of the job is left to claim."""
        units, worker = self._ctx.units, self._ctx.worker_id
        lease = await units.claim_of_job(worker, last.job_id) if go_on else None
        if lease is None and await advance(self._ctx, last.job_id):
            reached("fan_in.after")
            self.new_units.set()
            lease = await units.claim_of_job(worker, last.job_id) if go_on else None
        if not go_on:
            self.new_units.set()  # nobody rings for a busy slot, and this one ends without another look
            return None
        return lease or await units.claim_fairest(worker, after=last.job_id)

    def stop_lost(self, before: set[tuple[int, int]], held: set[tuple[int, int]]) -> None:
        """Kill the work of leases that were at work before the heartbeat and that Postgres no longer calls ours and wanted."""
        for key in before - held:
            if (
                running := self._running.pop(key, None)
            ) is not None:  # a second time would interrupt the giving back
                log.info("unit.stopped", unit=key[0], attempt=key[1])
                running[0].cancel()

    def preempt(self, leases: set[tuple[int, int]]) -> None:
        """Kill the children that compute these; what is being committed goes on."""
        for key in leases & self.leases:
            if self._running[key][1].preempt():
                log.info("unit.preempted", unit=key[0], attempt=key[1])

    def strays(self, before: set[tuple[int, int]], held: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """Leases that Postgres calls ours and that nobody works on, at two heartbeats in a row: the answer to their claim was lost."""
        idle = held - before - self.leases
        found, self._strays = idle & self._strays, idle
        return found

    async def drain(self, patience: float) -> None:
        """Let running units finish for *patience* seconds, then stop them.

        They go back to pending, uncharged.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        self.stop()
        if self._tasks:
            await asyncio.wait(
                self._tasks, timeout=END_SECONDS
            )  # with Postgres away they cannot be given back; the sweeper will

    def stop(self) -> None:
        """Stop the running units, once, unlike `shared.tasks.end`: a second time would interrupt the giving back."""
        if not self._stopped:
            self._stopped = True
            for task in self._tasks:
                task.cancel()
