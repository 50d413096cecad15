"""The times that the clocks of a zone show, and the moments at which they show a time.

A time is a number of microseconds from 1970: of a moment in UTC, of a local time as if it were one.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Ints, Mask, from_numbers, numbers_of, validity
from worker_service.native import library

_DAY, _SECOND = 86_400_000_000, 1_000_000
_NEVER = np.iinfo(np.int64).max
_STEP = 900_000_000
"""Clocks change at a multiple of 15 minutes of UTC, since 1970 at the latest."""
_BY_RULE = 2_114_380_800_000_000
"""2037-01-01. From then on clocks follow a rule, which Arrow does not know."""
_ONLY_RULES = 4_102_444_800_000_000
"""2100-01-01. Some zones list changes beyond 2037, for Ramadan; none does from then on."""
_CYCLE = 146_097 * _DAY
"""After 400 years the calendar repeats, and with it every rule."""
_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)


class Moments(NamedTuple):
    """The earlier moment at which clocks show each time, the later one, and whether they show it at all."""

    earlier: Ints
    later: Ints
    shown: Mask


def local_times(moments: Array, zone: str) -> Array:
    """Of each moment, in microseconds with a zone, the local time as a timestamp without a zone."""
    if zone == "UTC":
        return moments.cast(pa.timestamp("us"))
    numbers, valid = numbers_of(moments), validity(moments)
    if valid is not None:
        numbers = np.where(valid, numbers, 0)
    return from_numbers(pa.timestamp("us"), numbers + offsets(numbers, zone), valid)


def offsets(moments: Ints, zone: str) -> Ints:
    """How far clocks in *zone* are ahead of UTC at each moment, in microseconds."""
    if zone == "UTC" or not len(moments):
        return np.zeros_like(moments)
    first, last = days_of(moments)
    if last - first > len(moments) // 4:
        return _asked(moments, zone)
    clocks = clocks_of_days(first, last, zone)
    if (native := library()) is None:
        at, before, after = clocks[moments // _DAY - first].T
        found: Ints = np.where(moments < at, before, after)
        return found
    moments, found = np.ascontiguousarray(moments), np.empty(len(moments), np.int64)
    native.gm_offsets(moments.ctypes.data, len(moments), clocks.ctypes.data, first, found.ctypes.data)
    return found


def days_of(moments: Ints) -> tuple[int, int]:
    """The first and the last day in UTC, from 1970; there is a moment at least."""
    return int(moments.min()) // _DAY, int(moments.max()) // _DAY


@lru_cache(maxsize=2)
def clocks_of_days(first: int, last: int, zone: str) -> Ints:
    """Of each day in UTC a moment, the offset before it, and the offset from it on; days x 3 microseconds.

    No zone changes its clocks twice in three days. So a day whose ends have one offset has no other.
    """
    edges = _asked(np.arange(first, last + 2) * _DAY, zone)
    clocks = np.column_stack((np.full(len(edges) - 1, _NEVER), edges[:-1], edges[1:]))
    [changing] = np.nonzero(edges[:-1] != edges[1:])
    before = (first + changing) * _DAY
    after = before + _DAY
    while len(changing) and (after - before > _SECOND).any():
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        past = _asked(middle, zone) == edges[changing + 1]
        before, after = np.where(past, before, middle), np.where(past, middle, after)
    clocks[changing, 0] = after
    clocks.flags.writeable = False
    return clocks


def _asked(moments: Ints, zone: str) -> Ints:
    """Of each moment by itself. `offsets` looks up days instead, if these are few."""
    late = moments >= _BY_RULE
    early = from_numbers(pa.timestamp("us", tz=zone), np.where(late, 0, moments))
    found: Ints = numbers_of(pc.local_timestamp(early)) - numbers_of(early)
    if late.any():
        steps, where = np.unique(moments[late] // _STEP, return_inverse=True)
        rule = ZoneInfo(zone)
        found[late] = np.array([_by_rule(step * _STEP, rule) for step in steps.tolist()], np.int64)[where]
    return found


def _by_rule(moment: int, rule: ZoneInfo) -> int:
    """The offset at a moment from 2037 on, looked up before the year 2500: Python's times end at 9999."""
    if moment >= _ONLY_RULES:
        moment = (moment - _ONLY_RULES) % _CYCLE + _ONLY_RULES
    local = (_EPOCH + moment * _MICROSECOND).astimezone(rule)
    return (local.utcoffset() or timedelta()) // _MICROSECOND


def moments_of(local: Ints, zone: str) -> Moments:
    """The moments of local times. Clocks skip some times, and show others twice.

    Each offset within a day of the time is tried: clocks change once in two days at most.
    """
    tried = [local - offsets(local + shift, zone) for shift in (-_DAY, _DAY)]
    right = [moments + offsets(moments, zone) == local for moments in tried]
    first, second = np.where(right[0], tried[0], tried[1]), np.where(right[1], tried[1], tried[0])
    return Moments(np.minimum(first, second), np.maximum(first, second), right[0] | right[1])


def first_moments(local: Ints, zone: str) -> Ints:
    """The moment at which clocks first show each time; of one that they skip, the moment of the skip."""
    found = moments_of(local, zone)
    moments, skipped = found.earlier, ~found.shown
    if skipped.any():
        before, after = found.earlier[skipped], found.later[skipped]
        changed = offsets(after, zone)
        while (after - before > 1).any():
            middle = before + (after - before) // 2
            past = offsets(middle, zone) == changed
            before, after = np.where(past, before, middle), np.where(past, middle, after)
        moments[skipped] = after
    return moments
