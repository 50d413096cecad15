"""The outcome of a check."""

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """*found* has the values that were seen; *advice* is empty where all is well."""

    check: str = ""
    level: Level
    found: str
    advice: str = ""


def ok(found: str) -> Finding:
    return Finding(level="ok", found=found)


def warning(found: str, advice: str) -> Finding:
    return Finding(level="warning", found=found, advice=advice)


def error(found: str, advice: str) -> Finding:
    return Finding(level="error", found=found, advice=advice)


def size(octets: float) -> str:
    """Octets with a unit: 1.5 GiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    power = next((n for n in range(len(units)) if octets < 1024 ** (n + 1)), len(units) - 1)
    return f"{octets / 1024**power:.3g} {units[power]}"


def listed(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first names, and how many others there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
