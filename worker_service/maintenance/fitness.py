"""Notices that this worker cannot take work, says so, and takes none meanwhile: others should have it."""

import time

import structlog

from worker_service.context import Context
from worker_service.runner import Runner

log = structlog.get_logger()


class Fitness:
    def __init__(self, ctx: Context, runner: Runner) -> None:
        self._ctx, self._runner = ctx, runner
        self._last = self._able_at = time.monotonic()
        self._said = False

    async def run_once(self) -> None:
        """What lasts for a lease's time is logged, once."""
        now, patience = time.monotonic(), self._ctx.timings.lease.total_seconds()
        if now - self._last > patience:
            log.warning(
                "worker.cannot_work", reason="its event loop stood still", seconds=round(now - self._last, 1)
            )
        self._last = now
        lasted = now - self._able_at
        if self._runner.able:
            self._able_at = now
            if self._said:
                log.info("worker.can_work", after=round(lasted, 1))
                self._runner.slot_freed.set()
            self._said = False
        elif lasted >= patience and not self._said:
            log.warning("worker.cannot_work", reason="no child process starts", seconds=round(lasted, 1))
            self._said = True
