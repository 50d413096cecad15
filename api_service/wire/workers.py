"""The documents of workers and of units, and the cursor of a page of units."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import asdict

from api_service.wire.links import Links
from api_service.wire.pages import JobId, decode_cursor, encode_cursor
from shared.core.lifecycle import UnitKind, UnitState
from shared.core.workers import FailedAttempt, HeldUnit, UnitRow, Worker
from shared.errors import InvalidCursor, Problem

UNIT_ORDER = (UnitKind.PLAN, UnitKind.CHUNK, UnitKind.MERGE, UnitKind.PUBLISH)
"""The order in which the units of a job are worked on, and listed."""


class UsageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Null where the worker's machine does not say."""

    rss_bytes: int | None
    cpu_seconds: float | None
    cpu_cores: float | None


class WorkerDocument(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: Literal["live", "draining", "gone"]
    host: str
    pid: int
    version: str
    state_version: int | None
    slots: int
    able: int
    started_at: datetime
    seen_at: datetime
    silent_ms: int
    usage: UsageDocument
    units: tuple[HeldUnit, ...]
    links: dict[str, str]


def worker_document(worker: Worker, link: Links) -> WorkerDocument:
    usage = worker.usage
    return WorkerDocument(
        id=worker.id,
        state="gone" if worker.gone else "draining" if worker.draining else "live",
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        state_version=worker.state_version,
        slots=worker.slots,
        able=worker.able,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        silent_ms=_milliseconds(worker.silent),
        usage=UsageDocument(
            rss_bytes=usage.rss_bytes, cpu_seconds=usage.cpu_seconds, cpu_cores=usage.cpu_cores
        ),
        units=worker.units,
        links={"drain": link(f"/v1/workers/{worker.id}/drain")},
    )


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """How often the unit was begun, and how often each cause ended a try."""

    total: int
    deaths: int
    crashes: int
    errors: int
    ooms: int
    preemptions: int


class UnitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`leased_at` and `ms` are of the last try, under way while the state is `leased`.

    `failures` are the attempts that ended without a commit, oldest first.
    """

    kind: UnitKind
    no: int
    state: UnitState
    attempts: Attempts
    worker: str | None
    leased_at: datetime | None
    finished_at: datetime | None
    ms: int | None
    bytes: int
    rows: dict[str, int]
    rows_out: int
    error: Problem | None
    failures: tuple[FailedAttempt, ...]


def unit_document(unit: UnitRow) -> UnitDocument:
    return UnitDocument(
        kind=unit.kind,
        no=unit.no,
        state=unit.state,
        attempts=Attempts(
            total=unit.attempt,
            deaths=unit.deaths,
            crashes=unit.crashes,
            errors=unit.errors,
            ooms=unit.ooms,
            preemptions=unit.preemptions,
        ),
        worker=unit.worker,
        leased_at=unit.leased_at,
        finished_at=unit.finished_at,
        ms=None if unit.ran is None else _milliseconds(unit.ran),
        bytes=unit.bytes,
        rows=asdict(unit.rows),
        rows_out=unit.rows_out,
        error=unit.error,
        failures=unit.failures,
    )


def _milliseconds(time: timedelta) -> int:
    return round(time / timedelta(milliseconds=1))


class UnitsCursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The last unit of a page."""

    job_id: JobId
    kind: UnitKind
    no: int


def encode_units_cursor(job_id: str, last: UnitRow) -> str:
    return encode_cursor(UnitsCursor(job_id, last.kind, last.no))


def units_left(job_id: str, kind: UnitKind | None, after: str | None) -> tuple[tuple[UnitKind, ...], int]:
    """The kinds of units that are still to be listed, and the number behind which the first one goes on.

    Raises InvalidCursor.
    """
    kinds = UNIT_ORDER if kind is None else (kind,)
    if after is None:
        return kinds, -1
    cursor = decode_cursor(after, UnitsCursor)
    if cursor.job_id != job_id or cursor.kind not in kinds or not -1 <= cursor.no < 2**31:
        raise InvalidCursor("This cursor belongs to another job, or to a list with another `kind`")
    return kinds[kinds.index(cursor.kind) :], cursor.no
