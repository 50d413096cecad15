"""The work of the whole service at one time, and how long it will take."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts of open jobs, of units that may be leased now, of live workers and of their slots.

    `job_waits` and `unit_waits` are the seconds since which the oldest waits, None if none does. The mean
    time of a chunk in a slot is None before the first. A worker that drains has no slots.
    """

    jobs_queued: int
    jobs_running: int
    job_waits: float | None
    units_waiting: int
    unit_waits: float | None
    chunk_seconds: float | None
    workers_working: int
    workers_draining: int
    slots: int

    @property
    def backlog_seconds(self) -> float:
        """Waiting units x mean seconds of a chunk / slots.

        A job that is not planned yet counts as one unit. Infinite without a slot; NaN before any chunk.
        """
        if not self.units_waiting:
            return 0.0
        if self.chunk_seconds is None:
            return math.nan
        return self.units_waiting * self.chunk_seconds / self.slots if self.slots else math.inf
