"""The chunks of a job in few cells, so that a page shows any number of them; and why attempts have failed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.lifecycle import UnitKind

MOST_CELLS = 1000
"""Of one strip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The chunks from *first* to *last*, and how many of them are in each state; the others are pending.

    `attempt` is the highest of them, and `ran` the longest time of a last lease. `worker` had the last lease
    of a chunk that has a cell of its own.
    """

    first: int
    last: int
    done: int
    leased: int
    failed: int
    cancelled: int
    attempt: int
    worker: str | None
    ran: timedelta | None

    @property
    def chunks(self) -> int:
        return self.last - self.first + 1

    @property
    def pending(self) -> int:
        return self.chunks - self.done - self.leased - self.failed - self.cancelled


def chunks_per_cell(chunks: int) -> int:
    """The least of 1, 2, 5, 10, 20, 50 and so on by which a strip has room for all *chunks*."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if chunks <= MOST_CELLS * step * factor:
                return step * factor
        step *= 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Failed attempts of units of one kind with one charge and one code of an error.

    `detail`, `no` and `worker` are of the last of the *attempts*: its message, its unit and its worker.
    """

    kind: UnitKind
    charge: str | None
    code: str | None
    attempts: int
    last_at: datetime
    detail: str | None
    no: int
    worker: str | None
