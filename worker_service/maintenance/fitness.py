"""Notices that this worker cannot take work, says so, and takes none meanwhile: others should have it."""

import asyncio
import time

import structlog

from worker_service.context import Context
from worker_service.runner import Runner

log = structlog.get_logger()


class Fitness:
    def __init__(self, ctx: Context, runner: Runner) -> None:
        self._ctx, self._runner = ctx, runner
        self._probe: asyncio.Future[None] | None = None
        self._last = self._able_at = time.monotonic()
        self._said = False

    async def run_once(self) -> None:
        """What lasts for a lease's time is logged, once. Threads that have done nothing since the last pass all hang."""
        now, patience = time.monotonic(), self._ctx.timings.lease.total_seconds()
        if now - self._last > patience:
            log.warning("worker.cannot_work", reason="its event loop stood still", seconds=round(now - self._last, 1))
        self._last = now
        hang = self._probe is not None and not self._probe.done()
        if not hang:
            self._probe = asyncio.ensure_future(asyncio.to_thread(_nothing))
        self._runner.threads_hang = hang
        lasted = now - self._able_at
        if self._runner.able:
            self._able_at = now
            if self._said:
                log.info("worker.can_work", after=round(lasted, 1))
                self._runner.slot_freed.set()
            self._said = False
        elif lasted >= patience and not self._said:
            reason = "all its threads hang, which open files" if hang else "no child process starts"
            log.warning("worker.cannot_work", reason=reason, seconds=round(lasted, 1))
            self._said = True


def _nothing() -> None:
    """Runs in a thread as soon as one is free."""
