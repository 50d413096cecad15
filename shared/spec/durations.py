"""Durations (`90s 15m 1h 30d`) and the widths of time buckets (those, and `1w 1mo 1q 1y`)."""

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_CALENDAR = frozenset({"1w", "1mo", "1q", "1y"})
_LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """Raises ValueError with the accepted spellings."""
    found = _DURATION.fullmatch(text)
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else _LONGEST * 2
    if length > _LONGEST:
        raise ValueError(
            "a duration is a whole number and one of s, m, h, d, such as 90s, 15m, 1h or 30d, up to 3650d"
        )
    return length


def check_bucket(text: str) -> str:
    """Return the bucket's width as it is written; raises ValueError with the accepted spellings."""
    if text not in _CALENDAR:
        try:
            parse_duration(text)
        except ValueError as error:
            raise ValueError(
                "a time bucket is a duration such as 15m, 1h or 7d, or one of 1w, 1mo, 1q, 1y"
            ) from error
    return text
