"""Picks up what a death left between two transactions: expired leases, lost fan-ins, jobs that never ended."""

import time

import structlog

from shared.core.retry import Counts, backoff, may_crash_again, may_die_again
from shared.db.units import Lease
from shared.errors import DeadlineExceeded, TransientError, WorkerLost
from worker_service.context import Context
from worker_service.units.run import advance, ring

log = structlog.get_logger()


class Sweeper:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._reached_since: float | None = None

    async def run_once(self) -> None:
        """Nothing expires soon after this sweeper's own reconnect: an outage charges nobody."""
        try:
            expired = await self._ctx.units.expired()
        except TransientError:
            self._reached_since = None
            raise
        self._reached_since = self._reached_since or time.monotonic()
        if time.monotonic() - self._reached_since >= self._ctx.timings.grace.total_seconds():
            for lease, worker_died in expired:
                await self._take_back(lease, worker_died=worker_died)
        for job_id in await self._ctx.jobs.stalled():
            if not await self._ctx.jobs.finish_ending(job_id) and await advance(self._ctx, job_id):
                log.info("fan_in.repaired", job=job_id)
        await ring(self._ctx)

    async def _take_back(self, lease: Lease, *, worker_died: bool) -> None:
        units, counts = self._ctx.units, Counts(lease.deaths, lease.crashes, lease.errors)
        log.warning("lease.expired", unit=lease.id, job=lease.job_id, worker=lease.worker, worker_died=worker_died)
        if worker_died and may_die_again(counts):
            await units.give_back(lease, "death", delay=backoff(lease.deaths, self._ctx.timings))
        elif worker_died:
            await units.fail(lease, WorkerLost(f"{lease.kind} {lease.no} was given up: its worker died {lease.deaths + 1} times").problem())
        elif may_crash_again(counts):
            await units.give_back(lease, "crash", delay=backoff(lease.crashes, self._ctx.timings))
        else:
            await units.fail(lease, DeadlineExceeded(f"{lease.kind} {lease.no} never finished within its deadline").problem())
