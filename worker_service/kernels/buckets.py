"""Time buckets: the beginning of the part of a day, day, week, month, quarter or year of each time.

A part of a day up to an hour keeps the offset of its time. So an hour that clocks show twice makes two
buckets. A longer part is counted from local midnight. It begins when clocks first show its beginning, or when
they skip it. From a day on a bucket is a local date.
"""

from collections.abc import Callable
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
    if native is None or not len(moments):
        return _calendar(_local(moments, zone) // _DAY, by.width)
    first, last = days_of(moments)
    if last - first > len(moments) // 4:
        return _calendar(_local(moments, zone) // _DAY, by.width)
    clocks = None if zone is None else clocks_of_days(first, last, zone)
    table = _BEGINNINGS[by.width](np.arange(first - 1, last + 2)).astype(np.int32)  # no offset is a day long
    moments, found = np.ascontiguousarray(moments), np.empty(len(moments), np.int32)
    native.gm_by_day(
        moments.ctypes.data,
        len(moments),
        None if clocks is None else clocks.ctypes.data,
        first,
        table.ctypes.data,
        first - 1,
        found.ctypes.data,
    )
    return found


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
