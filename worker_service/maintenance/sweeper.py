"""Picks up what a death left between two transactions: expired leases, lost fan-ins, jobs that never ended."""

import time

import structlog

from shared.core.retry import Counts, backoff, may_crash_again, may_die_again
from shared.db.units import Lease
from shared.errors import DeadlineExceeded, WorkerLost
from worker_service.context import Context
from worker_service.units.run import advance, ring

log = structlog.get_logger()


class Sweeper:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._reached_since = self._last = 0.0

    async def run_once(self) -> None:
        """Nothing expires soon after a gap in this sweeper's own answers: an outage, a freeze or a sleeping laptop charges nobody."""
        expired = await self._ctx.units.expired()
        now, timings = time.time(), self._ctx.timings
        if now - self._last > timings.lease.total_seconds():
            self._reached_since = now
        self._last = now
        if now - self._reached_since >= timings.grace.total_seconds():
            for lease, worker_died in expired:
                await self._take_back(lease, worker_died=worker_died)
        for job_id in await self._ctx.jobs.stalled():
            await self._repair(job_id)
        await ring(self._ctx)

    async def _repair(self, job_id: str) -> None:
        """One job that cannot go on must not keep the others."""
        try:
            if not await self._ctx.jobs.finish_ending(job_id) and await advance(self._ctx, job_id):
                log.info("fan_in.repaired", job=job_id)
        except Exception:
            log.exception("fan_in.bug", job=job_id)

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
