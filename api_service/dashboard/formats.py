"""How pages write numbers, times and states. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def count(number: float | None) -> str:
    """`1,234,567`."""
    return "–" if number is None else f"{number:,}"


def size(number: float | None) -> str:
    """`1.5 MiB`: bytes by powers of 1,024."""
    if number is None:
        return "–"
    for unit in _BYTES[:-1]:
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} {_BYTES[-1]}"


def duration(seconds: float | None) -> str:
    """`420 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for index, (length, unit) in enumerate(_UNITS):
        if whole >= length:
            rest = whole % length
            smaller, name = _UNITS[index + 1] if index + 1 < len(_UNITS) else (1, "s")
            return f"{whole // length} {unit}" + (f" {rest // smaller} {name}" if rest // smaller else "")
    raise AssertionError(seconds)


def milliseconds(number: float | None) -> str:
    return duration(None if number is None else number / 1000)


def ago(at: datetime | None) -> str:
    if at is None:
        return "–"
    seconds = max(0, round((datetime.now(UTC) - at).total_seconds()))
    return f"{seconds} s ago" if seconds < 60 else f"{duration(seconds)} ago"


def stamp(at: datetime | None) -> str:
    """`2026-01-31 12:00:05 UTC`."""
    return "–" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def percent(fraction: float) -> str:
    """`37 %`, rounded down: 100 % is complete."""
    return f"{int(fraction * 100)} %"


FILTERS: dict[str, Callable[[Any], str]] = {
    "count": count,
    "size": size,
    "duration": duration,
    "milliseconds": milliseconds,
    "ago": ago,
    "stamp": stamp,
    "iso": iso,
    "percent": percent,
}
