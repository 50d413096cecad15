"""The limits of a tenant, and its use of them. Pure.

A limit of None is none. A tenant has its own limits, and for the others the defaults of the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

UNLIMITED = 2**63 - 1
"""Stored for a tenant that has no limit where the settings have one."""


def meant(stored: int) -> int | None:
    """The limit that a stored number means."""
    return None if stored == UNLIMITED else stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Counts and bytes by name: the columns of `gristmill.tenants`, and the settings `tenant_…`."""

    queued_jobs: int | None = None
    running_jobs: int | None = None
    scan_bytes_per_day: int | None = None
    stored_bytes: int | None = None
    uploads: int | None = None
    upload_bytes: int | None = None
    requests_per_second: int | None = None

    @classmethod
    def of(cls, given: Any) -> Self:
        """Those that are the fields of a settings object, `tenant_queued_jobs` and so on."""
        return cls(**{name: getattr(given, f"tenant_{name}") for name in NAMES})

    def overridden(self, own: Mapping[str, int | None] | None) -> Self:
        """These, but those of a tenant where it has its own."""
        if own is None:
            return self
        given = {name: own[name] for name in NAMES}
        return replace(self, **{name: meant(value) for name, value in given.items() if value is not None})


NAMES = tuple(field.name for field in fields(Limits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The use of a tenant now; the bytes that it scanned are those of today, by UTC."""

    queued_jobs: int
    running_jobs: int
    scan_bytes_per_day: int
    stored_bytes: int
    uploads: int
    upload_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """A limit that a request has met, for the headers of its answer.

    *window* are the seconds that the limit is for, and *reset* those until it allows more, if that is known.
    """

    name: str
    limit: int
    left: int = 0
    window: int | None = None
    reset: int | None = None
