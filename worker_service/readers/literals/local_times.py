"""Local times as moments: which times a zone's clocks show once, twice or never."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Mask, from_numbers, numbers_of, validity

INSTANT = pa.timestamp("us", tz="UTC")
Ambiguous = Literal["bad_row", "earliest", "latest"]
"""The moment that a local time stands for which the clocks show twice."""

_BY_RULE = pa.scalar(datetime.fromisoformat("2037-01-01"), pa.timestamp("us"))
"""From then on clocks follow the rule at the end of a zone's data; before, their changes are listed."""
_EPOCH, _MICROSECOND = datetime.fromisoformat("1970-01-01"), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Moments:
    """`values` are moments in UTC, null where `skipped` or `twice` says why there is none.

    The masks are None where no row is marked.
    """

    values: Array
    skipped: Mask | None = None
    twice: Mask | None = None

    @property
    def misfits(self) -> Mask | None:
        if self.skipped is None or self.twice is None:
            return self.skipped if self.twice is None else self.twice
        return self.skipped | self.twice


def in_zone(naive: Array, zone: str, ambiguous: Ambiguous = "bad_row") -> Moments:
    """The moments at which clocks in *zone* show the *naive* times, in microseconds.

    Arrow knows the listed changes of a zone, and no rule.
    """
    by_rule = pc.fill_null(pc.greater_equal(naive, _BY_RULE), False)
    if not pc.any(by_rule).as_py():
        try:
            fold: Literal["earliest", "latest", "raise"] = "raise" if ambiguous == "bad_row" else ambiguous
            once = pc.assume_timezone(naive, zone, ambiguous=fold, nonexistent="raise")
            return Moments(once.cast(INSTANT))
        except pa.ArrowInvalid:  # some time is skipped or shown twice
            return _judged(naive, *_listed(naive, zone), ambiguous)
    late = naive.filter(by_rule).dictionary_encode()  # the last day of all, mostly
    rule = ZoneInfo(zone)
    early, later = _listed(pc.if_else(by_rule, pa.scalar(None, naive.type), naive), zone)
    moments = [_by_rule(local, rule) for local in late.dictionary.to_pylist()]
    pairs = np.array(moments, np.int64).reshape(-1, 2)[late.indices.to_numpy()]
    at = np.flatnonzero(by_rule.to_numpy(zero_copy_only=False))
    early[at], later[at] = pairs[:, 0], pairs[:, 1]
    return _judged(naive, early, later, ambiguous)


Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


def _judged(naive: Array, early: Ints, later: Ints, ambiguous: Ambiguous) -> Moments:
    """Of two moments, those before and behind a change of the clocks, the one that counts.

    They are equal where clocks show a time once. Where they skip it, the earlier one comes later.
    """
    present = validity(naive)
    skipped, twice = early > later, early < later
    if present is not None:
        skipped, twice = skipped & present, twice & present
    out = skipped | twice if ambiguous == "bad_row" else skipped
    valid = ~out if present is None else present & ~out
    values = from_numbers(INSTANT, later if ambiguous == "latest" else early, valid)
    return Moments(
        values,
        skipped if skipped.any() else None,
        twice if ambiguous == "bad_row" and twice.any() else None,
    )


def _listed(naive: Array, zone: str) -> tuple[Ints, Ints]:
    """Both moments of every time, in microseconds since 1970; the first is the later one if it is skipped."""
    earliest = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    latest = pc.assume_timezone(naive, zone, ambiguous="latest", nonexistent="earliest")
    return numbers_of(earliest.cast(INSTANT)).copy(), numbers_of(latest.cast(INSTANT)).copy()


def _by_rule(local: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Both moments, in microseconds since 1970, also where that is after the year 9999."""
    earlier, later = (local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    since = local - _EPOCH
    return (since - earlier) // _MICROSECOND, (since - later) // _MICROSECOND
