"""When a unit is tried again, and when it has been tried enough.

What ended a lease is counted apart, by whose fault.
"""

from datetime import timedelta
from enum import StrEnum

from shared.core.timings import Timings


class Charge(StrEnum):
    """What the end of a lease is counted as."""

    DEATH = "death"
    CRASH = "crash"
    ERROR = "error"
    MEMORY = "memory"
    PREEMPTION = "preemption"
    NOTHING = "nothing"


LIMITS = {"death": 5, "crash": 3, "crash of a reader": 2, "error": 12, "memory": 5, "memory at once": 2}
"""How many leases of one unit may end because its worker died, its child died or was late, a transient error came, memory ran out.

A child that crashes while it reads a file of a binary format tells of that file: twice is no chance.

A chunk that runs out of memory is tried with half the batch each time; the others have nothing to halve:
"memory at once".
"""


def may_try_again(charge: str, before: int) -> bool:
    """Whether a unit goes on after one more such end; there were *before* of them.

    An end without a charge has no limit.
    """
    return charge not in LIMITS or before + 1 < LIMITS[charge]


def backoff(tries: int, timings: Timings) -> timedelta:
    """Doubling from `retry_first` up to `retry_limit`; *tries* counts from 0."""
    return min(timings.retry_first * float(2 ** min(tries, 20)), timings.retry_limit)
