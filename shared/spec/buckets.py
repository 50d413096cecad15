"""The widths of time buckets: parts of a day, days, weeks, months, quarters and years."""

import re
from typing import Literal, get_args

from shared.spec.names import quote
from shared.spec.types import DATE, DataType

Calendar = Literal["1d", "1w", "1mo", "1q", "1y"]
CALENDAR: tuple[Calendar, ...] = get_args(Calendar)
"""The widths from a day on. A bucket is the date on which it begins: a Monday, the first day of a month."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DAY = 86_400
_PART_OF_DAY = re.compile(r"([1-9][0-9]{0,5})([smh])")
_WIDTHS = (
    "a time bucket is 1d, 1w, 1mo, 1q or 1y, or a whole number of s, m or h that divides a day, "
    "such as 15m, 1h or 6h"
)
_MEANT = {
    **dict.fromkeys(("d", "day", "1day", "days", "daily", "24h", "1440m", "86400s"), "1d"),
    **dict.fromkeys(("w", "week", "1week", "weekly", "7d", "168h"), "1w"),
    **dict.fromkeys(("mo", "mon", "month", "1month", "monthly", "1M", "M", "MS", "ME"), "1mo"),
    **dict.fromkeys(("q", "quarter", "1quarter", "quarterly", "3mo", "QS", "QE"), "1q"),
    **dict.fromkeys(("y", "a", "year", "1year", "yearly", "12mo", "4q", "YS", "YE"), "1y"),
    **dict.fromkeys(("h", "hour", "1hour", "hourly", "60min"), "1h"),
    **dict.fromkeys(("minute", "1minute", "min", "1min", "m", "T"), "1m"),
    **dict.fromkeys(("15min", "quarter hour"), "15m"),
}


def bucket_width(text: str) -> str:
    """Return the width as it is written. Raises ValueError with the accepted spellings."""
    if text in CALENDAR:
        return text
    found = _PART_OF_DAY.fullmatch(text)
    if found is None or (size := int(found[1]) * _SECONDS[found[2]]) >= _DAY or _DAY % size:
        meant = _MEANT.get(text) or _MEANT.get(text.lower())
        guess = f"; did you mean {quote(meant)}?" if meant else f"; {_WIDTHS}"
        raise ValueError(f"{quote(text)} is no width of a time bucket{guess}")
    return text


def bucket_seconds(width: str) -> int | None:
    """The length of a part of a day; None for the widths from a day on."""
    if width in CALENDAR:
        return None
    return int(width[:-1]) * _SECONDS[width[-1]]


def bucket_type(of: DataType, width: str) -> DataType:
    """The type of the buckets of a column of times of type *of*."""
    return DATE if width in CALENDAR else of
