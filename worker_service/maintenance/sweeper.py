"""The sweeper: takes back expired leases, repairs lost fan-ins, and fails jobs past their deadline."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from shared.core.retry import GiveBack, cause_of, decide
from shared.core.timings import Timings
from shared.db.jobs import JobStore
from shared.db.units import Expired, LeasedUnit, UnitStore
from shared.errors import DeadlineExceeded, GristmillError, LeaseLost, TransientError, WorkerLost
from shared.fault_points import reached
from shared.loops import Report
from worker_service.units.watched import about, given_back, given_up

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Swept(Report):
    """Units that were given back or failed; jobs that were brought to an end or to their next phase."""

    given_back: int = 0
    failed: int = 0
    ended: int = 0
    advanced: int = 0


class Sweeper:
    def __init__(
        self,
        jobs: JobStore,
        units: UnitStore,
        advance: Callable[[str], Awaitable[bool]],
        timings: Timings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """*advance* tries a job's fan-in. *clock* gives seconds, and goes on while the machine sleeps."""
        self._jobs, self._units, self._advance = jobs, units, advance
        self._timings, self._clock = timings, clock
        self._steady_since = self._last = 0.0

    async def run_once(self) -> Swept:
        found: Counter[str] = Counter()
        expired = await self._units.expired()
        if self._steady():
            for one in expired:
                reached("sweep.found")
                # While another transaction holds its job's row, a lease waits for the next sweep.
                with suppress(TransientError):
                    found[await self._take_back(one)] += 1
        with suppress(TransientError):
            await self._jobs.fail_overdue()
        for job_id in await self._jobs.stalled():
            if (step := await self._repair(job_id)) is not None:
                found[step] += 1
        return Swept(**found)

    def _steady(self) -> bool:
        """Whether Postgres has answered this sweeper without a gap for the time of grace.

        A gap is an outage, a freeze or a laptop that slept, and must be charged to no unit.
        """
        now = self._clock()
        if not 0 <= now - self._last <= self._timings.lease.total_seconds():
            self._steady_since = now
        self._last = now
        return now - self._steady_since >= self._timings.grace.total_seconds()

    async def _take_back(self, expired: Expired) -> str:
        lease, worker_died, held = expired
        log.warning("lease.expired", **about(lease), worker=lease.worker, worker_died=worker_died)
        error = LeaseLost("Its fold has ended") if held else _died(lease) if worker_died else _late(lease)
        cause = cause_of(error)
        decision = decide(lease.kind, lease.counts, cause, self._timings)
        if isinstance(decision, GiveBack):
            if await self._units.give_back(lease, decision.charge, delay=decision.delay):
                given_back(lease, cause)
            return "given_back"
        await self._units.fail(lease, error.problem())
        given_up(lease, "failed")
        return "failed"

    async def _repair(self, job_id: str) -> str | None:
        """End a job, or bring it to its next phase. One that cannot go on must not hold up the others."""
        try:
            if await self._jobs.finish_ending(job_id):
                return "ended"
            if await self._advance(job_id):
                log.info("fan_in.repaired", job=job_id)
                return "advanced"
        except TransientError as error:
            log.info("fan_in.waits", job=job_id, error=error.detail)
        except Exception:
            log.exception("fan_in.bug", job=job_id)
        return None


def _died(lease: LeasedUnit) -> GristmillError:
    return WorkerLost(f"{lease.kind} {lease.no} was given up: its worker died {lease.deaths + 1} times")


def _late(lease: LeasedUnit) -> GristmillError:
    return DeadlineExceeded(f"{lease.kind} {lease.no} never finished within its deadline")
