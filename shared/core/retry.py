"""When a unit is tried again, and when it has been tried enough. What ended a lease is counted apart, by whose fault."""

from dataclasses import dataclass
from datetime import timedelta

from shared.core.timings import Timings

MAX_DEATHS = 5
MAX_CRASHES = 3
MAX_ERRORS = 12


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a unit's worker died, its child crashed, a transient error came: before the present one."""

    deaths: int
    crashes: int
    errors: int


def may_die_again(counts: Counts) -> bool:
    return counts.deaths + 1 < MAX_DEATHS


def may_crash_again(counts: Counts) -> bool:
    return counts.crashes + 1 < MAX_CRASHES


def may_err_again(counts: Counts) -> bool:
    return counts.errors + 1 < MAX_ERRORS


def backoff(tries: int, timings: Timings) -> timedelta:
    """Doubling from `retry_first` up to `retry_limit`; *tries* counts from 0."""
    return min(timings.retry_first * float(2 ** min(tries, 20)), timings.retry_limit)
