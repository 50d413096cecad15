"""Notices that this worker cannot take work, and says so. It takes none meanwhile: others should have it."""

import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from shared.loops import Report
from worker_service.slots import Slots

log = structlog.get_logger()


class Fitness:
    def __init__(
        self, slots: Slots, patience: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*patience*: how long a trouble lasts before it is logged, once."""
        self._slots, self._patience, self._clock = slots, patience.total_seconds(), clock
        self._last = self._able_at = clock()
        self._warned = False

    async def run_once(self) -> Report:
        """Warn of a trouble, with its reason. There is nothing to count."""
        now = self._clock()
        if now - self._last > self._patience:
            log.warning(
                "worker.cannot_work", error="its event loop stood still", seconds=round(now - self._last, 1)
            )
        self._last = now
        unable = now - self._able_at
        if self._slots.able:
            self._able_at = now
            if self._warned:
                log.info("worker.can_work", seconds=round(unable, 1))
            self._warned = False
        elif unable >= self._patience and not self._warned:
            log.warning("worker.cannot_work", error="no child process starts", seconds=round(unable, 1))
            self._warned = True
        return Report()
