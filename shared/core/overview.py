"""The work of a tenant as a whole: its queue, its last hour and its failures."""

from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTES = 60
"""How many minutes the series go back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """`job_waits` and `unit_waits` are the ages of the oldest that wait; None where none does."""

    jobs_queued: int
    jobs_running: int
    job_waits: timedelta | None
    units_waiting: int
    unit_waits: timedelta | None
    units_leased: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The live workers, and the slots of all of them that can work; `busy` ones hold a unit."""

    live: int
    draining: int
    slots: int
    busy: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """The minute that ended `ago` minutes before now: the input of chunks, and how jobs ended."""

    ago: int
    rows: int = 0
    bytes: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Jobs that failed with one error code: how many, when the newest did, and its detail."""

    code: str
    jobs: int
    at: datetime
    job_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`minutes` has MINUTES, oldest first, and fewer where more has ended than is read.

    A part is None if Postgres did not answer in time, and then in `late`. `slots` is also None for a tenant
    that may not see the workers.
    """

    queue: Queue | None
    slots: Slots | None
    minutes: tuple[Minute, ...] | None
    failures: tuple[FailureGroup, ...] | None
    late: tuple[str, ...] = ()
