"""The slots of a worker: a free one claims a unit, runs it, and goes on while there is something to do."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import structlog

from shared.core.lifecycle import UnitKind
from shared.db.units import Lease
from shared.errors import TransientError
from shared.fault_points import reached
from shared.metrics import SLOTS_BUSY
from worker_service.context import Context
from worker_service.executors.protocol import Child, ChildDied
from worker_service.units.fan_in import advance
from worker_service.units.run import run_unit

END_SECONDS = 5.0
LeaseKey = tuple[int, int]
"""A lease of this worker: (unit, attempt)."""
log = structlog.get_logger()


class Slots:
    """One asyncio task for each busy slot.

    `new_units` is set whenever there may be units to ring for. The executor's `child_ready` is set whenever a
    slot may have become free. While `draining` no slot takes anything.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[LeaseKey, tuple[asyncio.Task[None], Child]] = {}
        self._last_job: str | None = None
        self._unheard: set[LeaseKey] = set()
        self._stopped = False
        self.new_units = asyncio.Event()
        self.draining = False

    @property
    def count(self) -> int:
        return self._ctx.executor.slots

    @property
    def free(self) -> int:
        return 0 if self.draining else min(self.count - len(self._tasks), self._ctx.executor.ready)

    @property
    def able(self) -> int:
        """How many slots are at work or can begin."""
        return min(self.count, len(self._tasks) + self._ctx.executor.ready)

    @property
    def leases(self) -> set[LeaseKey]:
        """The leases that are at work now."""
        return set(self._running)

    async def until_free(self) -> int:
        """Wait for a free slot. Returns how many there are."""
        ready = self._ctx.executor.child_ready
        while self.free == 0:
            ready.clear()
            await ready.wait()
        return self.free

    def start_one(self) -> None:
        """Have a free slot look for work.

        With none free it does nothing: a busy slot looks for more work before it rests.
        """
        if self.free > 0:
            self._start(self._work())

    def look(self) -> None:
        """There may be new units: a free slot claims one at once, then the dispatcher rings for the rest."""
        if self.free > 0:
            self._start(self._work(claimed=self.new_units.set))
        else:
            self.new_units.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        SLOTS_BUSY.set(len(self._tasks))
        task.add_done_callback(self._freed)

    def _freed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        SLOTS_BUSY.set(len(self._tasks))
        self._ctx.executor.child_ready.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("slot.failed", exc_info=error)
        if error is not None or task.cancelled():
            self.new_units.set()  # no message comes for a busy slot, and this one ended without another look

    async def _work(self, claimed: Callable[[], None] = lambda: None) -> None:
        """Run units while there are any: of the same job while it is this job's turn, else the fairest.

        *claimed* is called after the first claim, whatever it gave, and after an error.
        """
        ctx = self._ctx
        try:
            async with ctx.executor.child() as child:
                lease = await ctx.units.claim_fairest(ctx.worker_id, after=self._last_job)
                claimed()
                while lease is not None:
                    await self._run(lease, child)
                    lease = await self._next(lease, go_on=child.alive and not self.draining)
        except (TransientError, ChildDied, OSError) as error:
            log.warning("slot.waits", error=str(error))
            claimed()
            asyncio.get_running_loop().call_later(ctx.timings.dispatch.total_seconds(), self.start_one)

    async def _run(self, lease: Lease, child: Child) -> None:
        task = asyncio.current_task()
        assert task is not None
        key = lease.id, lease.attempt
        self._running[key] = task, child
        self._last_job = lease.job_id

        async def claim(first: Lease) -> Lease | None:
            more = await self._more(first)
            if more is not None:
                self._running[more.id, more.attempt] = task, child
            return more

        try:
            again = await run_unit(self._ctx, lease, child, claim)
        finally:
            for key in [key for key, (its, _) in self._running.items() if its is task]:
                del self._running[key]
        if again is not None:
            asyncio.get_running_loop().call_later(again.total_seconds(), self.new_units.set)
        elif lease.kind is UnitKind.PLAN:
            self.new_units.set()

    async def _more(self, first: Lease) -> Lease | None:
        """Another unit for the fold that began with *first*; without Postgres the fold ends too."""
        if self.draining:
            return None
        with suppress(TransientError):
            return await self._ctx.units.claim_of_job(self._ctx.worker_id, first.job_id, fold=first.id)
        return None

    async def _next(self, last: Lease, *, go_on: bool) -> Lease | None:
        """The unit to go on with. Fan-in is only tried when none of the job is left to claim.

        Nothing follows a publish, and no unit of the same phase one that is alone.
        """
        units, worker = self._ctx.units, self._ctx.worker_id
        lease = await units.claim_of_job(worker, last.job_id) if go_on and not last.alone else None
        ended = last.kind is UnitKind.PUBLISH
        if lease is None and not ended and await advance(self._ctx, last.job_id):
            reached("fan_in.after")
            try:
                lease = await units.claim_of_job(worker, last.job_id) if go_on else None
            finally:
                if lease is None or not lease.alone:
                    self.new_units.set()
        if not go_on:
            self.new_units.set()  # no message comes for a busy slot, and this one ends without another look
            return None
        return lease or await units.claim_fairest(worker, after=last.job_id)

    def stop_unwanted(self, before: set[LeaseKey], wanted: set[LeaseKey]) -> int:
        """Stop the units of leases that are no longer wanted, and the rest of their folds; how many.

        *before*: the leases that were at work before the heartbeat. *wanted*: those that Postgres calls ours
        and wanted.
        """
        # Each slot only once: a second cancellation would interrupt the giving back.
        tasks = {self._running[key][0] for key in before - wanted if key in self._running}
        stopped = [key for key, (task, _) in self._running.items() if task in tasks]
        for unit, attempt in stopped:
            log.info("unit.stopped", unit=unit, attempt=attempt)
            del self._running[unit, attempt]
        for task in tasks:
            task.cancel()
        return len(stopped)

    def preempt(self, leases: Iterable[LeaseKey]) -> int:
        """Kill the children that compute these leases; how many. Commits that have begun go on."""
        killed = [key for key in leases if key in self._running and self._running[key][1].preempt()]
        for unit, attempt in killed:
            log.info("unit.preempted", unit=unit, attempt=attempt)
        return len(killed)

    def unheard(self, before: set[LeaseKey], held: set[LeaseKey]) -> set[LeaseKey]:
        """Leases whose claim got no answer.

        Postgres calls them ours and no slot works on them, at two heartbeats in a row.
        """
        idle = held - before - self.leases
        found, self._unheard = idle & self._unheard, idle
        return found

    async def drain(self, patience: float) -> None:
        """Let running units finish for *patience* seconds, then stop them.

        They go back to pending, uncharged. With Postgres away they cannot be given back: then the sweepers of
        other workers take them back.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_SECONDS)

    def stop(self) -> None:
        """Stop the running units, only once: a second cancellation would interrupt the giving back."""
        if not self._stopped:
            self._stopped = True
            for task in self._tasks:
                task.cancel()
