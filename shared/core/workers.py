"""Workers and units, as an operator sees them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from shared.core.lifecycle import UnitKind, UnitState
from shared.core.row_counts import RowCounts
from shared.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The memory and time that a worker and its children take; None where the machine does not say.

    `cpu_cores` are seconds of processors in a second, between two heartbeats.
    """

    rss_bytes: int | None = None
    cpu_seconds: float | None = None
    cpu_cores: float | None = None


class HeldUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A unit in a worker's hands, *since* its lease began."""

    id: int
    job: str
    kind: UnitKind
    no: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A row of gristmill.workers. It is *gone* when it was *silent* for longer than a lease lives."""

    id: str
    host: str
    pid: int
    version: str
    state_version: int | None
    slots: int
    able: int
    started_at: datetime
    seen_at: datetime
    silent: timedelta
    draining: bool
    gone: bool
    usage: Usage
    settings: dict[str, Any] | None
    """Those of `shared.settings.agreed`; None of an earlier version."""
    units: tuple[HeldUnit, ...]


class FailedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A lease of a unit that ended without a commit: its number, and the count that it belongs to.

    The *final* one failed the job, and has no `charge`. `error` is None where the cause is not known.
    """

    attempt: int
    worker: str
    at: datetime
    charge: str | None
    final: bool
    error: Problem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRow:
    """A unit of a job. `ran` is the time of its last lease; `error` ended its last try.

    `failures` are the failed attempts that the job's history has, oldest first.
    """

    kind: UnitKind
    no: int
    state: UnitState
    attempt: int
    deaths: int
    crashes: int
    errors: int
    ooms: int
    preemptions: int
    worker: str | None
    leased_at: datetime | None
    finished_at: datetime | None
    ran: timedelta | None
    bytes: int
    rows: RowCounts
    rows_out: int
    error: Problem | None
    failures: tuple[FailedAttempt, ...]
