"""Units at work and their ends, as log lines, spans and metrics show them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import bind_contextvars

from shared import tracing
from shared.core.lifecycle import UnitKind
from shared.core.retry import Cause
from shared.db.units import Done, Lease, LeasedUnit
from shared.metrics import READ_BYTES, RESULT_ROWS, ROWS, UNIT_RETRIES, UNIT_SECONDS, UNITS

_MANY = {UnitKind.CHUNK, UnitKind.MERGE}
"""Kinds of which a job may have many: their lines are details."""
log = structlog.get_logger()


def about(lease: LeasedUnit) -> dict[str, str | int]:
    """The fields of a log line about a unit."""
    return {
        "job": lease.job_id,
        "unit": lease.id,
        "attempt": lease.attempt,
        "kind": lease.kind.value,
        "no": lease.no,
    }


@contextmanager
def at_work(lease: Lease) -> Iterator[None]:
    """Log lines name the unit, from now on; its span and its time end with the block."""
    bind_contextvars(**about(lease))
    its: dict[str, str | float] = {
        "gristmill.job": lease.job_id,
        "gristmill.unit": lease.id,
        "gristmill.attempt": lease.attempt,
    }
    began = time.perf_counter()
    with tracing.span(lease.kind, "CONSUMER", its):
        yield
    UNIT_SECONDS.labels(lease.kind).observe(time.perf_counter() - began)


def finished(*units: tuple[Lease, Done]) -> None:
    """These units are committed."""
    for lease, done in units:
        UNITS.labels(lease.kind, "done").inc()
        (log.debug if lease.kind in _MANY else log.info)("unit.done", **about(lease))
        if lease.kind is UnitKind.CHUNK:
            READ_BYTES.inc(lease.bytes)
            for fate, rows in done.counts.fates.items():
                ROWS.labels(fate).inc(rows)
        elif lease.kind is UnitKind.MERGE:
            RESULT_ROWS.inc(done.rows_out)


def given_back(lease: LeasedUnit, cause: Cause) -> None:
    UNIT_RETRIES.labels(lease.kind, cause.name.lower()).inc()


def given_up(lease: LeasedUnit, outcome: str) -> None:
    """*outcome*: the unit has `failed`, or its job is `planned_again`."""
    UNITS.labels(lease.kind, outcome).inc()
