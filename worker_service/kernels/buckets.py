"""Time buckets: the beginning of the part of a day, day, week, month, quarter or year of each time.

A part of a day up to an hour keeps the offset of its time. So an hour that clocks show twice makes two
buckets. A longer part is counted from local midnight. It begins when clocks first show its beginning, or when
they skip it. From a day on a bucket is a local date.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from shared.spec.buckets import bucket_seconds
from shared.spec.query import Bucketing
from worker_service.arrow import Array, Ints, Mask, from_numbers, numbers_of, validity
from worker_service.kernels.clocks import first_moments, offsets

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
        days = numbers if by.of.kind == "date" else _local(numbers, by.zone) // _DAY
        begins = _calendar(days, by.width)
    else:
        kind, unit = times.type, _DAY
        begins = _parts_of_day(numbers, seconds * 1_000_000, by.zone)
    outside = (begins < _FIRST_DAY * unit) | (begins >= (_LAST_DAY + 1) * unit)
    if not outside.any():
        return from_numbers(kind, begins, present), None
    return from_numbers(kind, begins, ~outside if present is None else present & ~outside), outside


def _local(moments: Ints, zone: str | None) -> Ints:
    return moments if zone is None else moments + offsets(moments, zone)


def _parts_of_day(moments: Ints, size: int, zone: str | None) -> Ints:
    """*size* divides a day, so that times from 1970 are cut as those from midnight."""
    local = _local(moments, zone)
    past = local % size
    if zone is None or zone == "UTC" or size <= _HOUR:
        return moments - past
    begins, where = np.unique(local - past, return_inverse=True)
    return first_moments(begins, zone)[where]


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
