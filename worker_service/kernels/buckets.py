"""Time buckets: the beginning of the part of a day, day, week, month, quarter or year of each time.

A part of a day up to an hour keeps the offset of its time. So an hour that clocks show twice makes two
buckets. A longer part is counted from local midnight. It begins when clocks first show its beginning, or when
they skip it. From a day on a bucket is a local date.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.spec.buckets import bucket_seconds
from shared.spec.query import Bucketing
from worker_service.arrow import Array, Ints, Mask, from_numbers, numbers_of, validity
from worker_service.kernels.clocks import clocks_of_days, days_of, first_moments, offsets
from worker_service.native import library

OUTSIDE = "the bucket begins outside the years 1 to 9999"
_HOUR, _DAY = 3_600_000_000, 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_STEP = np.dtype([("at", "<i8"), ("before", "<i4"), ("after", "<i4")])


def bucketed(times: Array, by: Bucketing) -> tuple[Array, Mask | None]:
    """The bucket of each time, and where it begins outside the years 1 to 9999; None if nowhere."""
    numbers, present = numbers_of(times), validity(times)
    if present is not None:
        numbers = np.where(present, numbers, 0)
    seconds = bucket_seconds(by.width)
    if seconds is None:
        kind, unit = pa.date32(), 1
        begins = _calendar(numbers, by.width) if by.of.kind == "date" else _dates(numbers, by)
    else:
        kind, unit = times.type, _DAY
        begins = _parts_of_day(numbers, seconds * 1_000_000, by.zone)
    least, end = _FIRST_DAY * unit, (_LAST_DAY + 1) * unit
    if not len(begins) or (begins.min() >= least and begins.max() < end):
        return from_numbers(kind, begins, present), None
    outside = (begins < least) | (begins >= end)
    return from_numbers(kind, begins, ~outside if present is None else present & ~outside), outside


def _local(moments: Ints, zone: str | None) -> Ints:
    return moments if zone is None else moments + offsets(moments, zone)


def _parts_of_day(moments: Ints, size: int, zone: str | None) -> Ints:
    """*size* divides a day, so that times from 1970 are cut as those from midnight."""
    local = _local(moments, zone)
    past = local - local // size * size  # numpy divides faster than it takes remainders
    if zone is None or zone == "UTC" or size <= _HOUR:
        return moments - past
    begins, where = np.unique(local - past, return_inverse=True)
    return first_moments(begins, zone)[where]


def _dates(moments: Ints, by: Bucketing) -> "NDArray[np.signedinteger[Any]]":
    """The local dates at which the buckets begin, as days from 1970."""
    native, zone = library(), None if by.zone == "UTC" else by.zone
    if native is not None and len(moments):
        first, last = days_of(moments)
        few = last - first <= len(moments) // 4
        if few and (table := _dates_by_day(first, last, zone, by.width)) is not None:
            moments, found = np.ascontiguousarray(moments), np.empty(len(moments), np.int32)
            native.gm_by_day(moments.ctypes.data, len(moments), table.ctypes.data, first, found.ctypes.data)
            return found
    return _calendar(_local(moments, zone) // _DAY, by.width)


@lru_cache(maxsize=2)
def _dates_by_day(first: int, last: int, zone: str | None, width: str) -> NDArray[np.void] | None:
    """Of each day in UTC a moment, the bucket before it, and the bucket from it on.

    None where that does not tell all: clocks put back over midnight come to a date twice.
    """
    days, begin = np.arange(first, last + 1), _BEGINNINGS[width]
    table = np.empty(len(days), _STEP)
    if zone is None:
        table["at"], table["before"], table["after"] = (days + 1) * _DAY, begin(days), 0
        return table
    clocks = clocks_of_days(first, last, zone)
    local = (days * _DAY + clocks[:, 1]) // _DAY
    table["at"] = (local + 1) * _DAY - clocks[:, 1]
    table["before"], table["after"] = begin(local), begin(local + 1)
    for row in np.flatnonzero(clocks[:, 1] != clocks[:, 2]).tolist():
        moments, dates = _dates_of_day(first + row, *clocks[row].tolist())
        buckets = begin(dates)
        [changes] = np.nonzero(np.diff(buckets))
        if len(changes) > 1:
            return None
        at = moments[changes[0] + 1] if len(changes) else (first + row + 1) * _DAY
        table[row] = at, buckets[0], buckets[-1]
    return table


def _dates_of_day(day: int, change: int, before: int, after: int) -> tuple[list[int], Ints]:
    """The moments of a day in UTC at which local dates begin or clocks change, and the dates from then on."""
    found = [(day * _DAY, (day * _DAY + before) // _DAY)]
    if (midnight := (found[0][1] + 1) * _DAY - before) < change:
        found.append((midnight, found[0][1] + 1))
    found.append((change, (change + after) // _DAY))
    if (midnight := (found[-1][1] + 1) * _DAY - after) < (day + 1) * _DAY:
        found.append((midnight, found[-1][1] + 1))
    return [moment for moment, _ in found], np.array([date for _, date in found])


def _calendar(days: Ints, width: str) -> Ints:
    """By a table of all days between the first and the last, if there are fewer of them than times."""
    begin = _BEGINNINGS[width]
    if not len(days):
        return days
    first, last = int(days.min()), int(days.max())
    if last - first >= len(days):
        return begin(days)
    return begin(np.arange(first, last + 1))[days - first]


def _monday(days: Ints) -> Ints:
    """1970-01-01 is a Thursday."""
    return days - (days + 3) % 7


def _whole(months: int) -> Callable[[Ints], Ints]:
    def begin(days: Ints) -> Ints:
        counted = days.astype("M8[D]").astype("M8[M]").astype(np.int64)
        return (counted - counted % months).astype("M8[M]").astype("M8[D]").astype(np.int64)

    return begin


_BEGINNINGS: dict[str, Callable[[Ints], Ints]] = {
    "1d": lambda days: days,
    "1w": _monday,
    "1mo": _whole(1),
    "1q": _whole(3),
    "1y": _whole(12),
}
