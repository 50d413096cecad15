"""Picks up what a death left between two transactions: expired leases, lost fan-ins, jobs that never ended.

Ends jobs past their deadline.
"""

import time
from contextlib import suppress

import structlog

from shared.core.retry import Charge, backoff, may_try_again
from shared.db.units import LeasedUnit
from shared.errors import DeadlineExceeded, TransientError, WorkerLost
from shared.fault_points import reached
from worker_service.context import Context
from worker_service.units.run import advance

log = structlog.get_logger()


class Sweeper:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._reached_since = self._last = 0.0

    async def run_once(self) -> None:
        """Nothing expires soon after a gap in this sweeper's own answers: an outage, a freeze or a sleeping laptop charges nobody."""
        expired = await self._ctx.units.expired()
        now, timings = time.time(), self._ctx.timings
        if not 0 <= now - self._last <= timings.lease.total_seconds():
            self._reached_since = now
        self._last = now
        if now - self._reached_since >= timings.grace.total_seconds():
            for lease, worker_died in expired:
                reached("sweep.found")
                with suppress(TransientError):  # somebody holds its job's row; the next sweep sees it again
                    await self._take_back(lease, worker_died=worker_died)
        with suppress(TransientError):
            await self._ctx.jobs.fail_overdue()
        for job_id in await self._ctx.jobs.stalled():
            await self._repair(job_id)

    async def _repair(self, job_id: str) -> None:
        """One job that cannot go on must not keep the others."""
        try:
            if not await self._ctx.jobs.finish_ending(job_id) and await advance(self._ctx, job_id):
                log.info("fan_in.repaired", job=job_id)
        except TransientError as error:
            log.info("fan_in.waits", job=job_id, error=error.detail)
        except Exception:
            log.exception("fan_in.bug", job=job_id)

    async def _take_back(self, lease: LeasedUnit, *, worker_died: bool) -> None:
        units = self._ctx.units
        log.warning(
            "lease.expired", unit=lease.id, job=lease.job_id, worker=lease.worker, worker_died=worker_died
        )
        if worker_died and may_try_again("death", lease.deaths):
            await units.give_back(lease, Charge.DEATH, delay=backoff(lease.deaths, self._ctx.timings))
        elif worker_died:
            await units.fail(
                lease,
                WorkerLost(
                    f"{lease.kind} {lease.no} was given up: its worker died {lease.deaths + 1} times"
                ).problem(),
            )
        elif may_try_again("crash", lease.crashes):
            await units.give_back(lease, Charge.CRASH, delay=backoff(lease.crashes, self._ctx.timings))
        else:
            await units.fail(
                lease,
                DeadlineExceeded(f"{lease.kind} {lease.no} never finished within its deadline").problem(),
            )
