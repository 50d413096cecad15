"""docs/observability.md lists every field of a log line, and no field that no line has."""

import re
from pathlib import Path

from shared.core.lifecycle import UnitKind
from shared.db.units import LeasedUnit
from tests.support.log_calls import fields
from worker_service.units.watched import about

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
OF_EVERY_LINE = {"timestamp", "level", "logger", "event", "request_id", "trace_id"}
ADDED = {"exception"}
"""By structlog, in place of `exc_info`."""
LEASE = LeasedUnit(
    id=1, job_id="job_1", kind=UnitKind.CHUNK, no=0, epoch=1, attempt=1, worker="w", deaths=0, crashes=0,
    errors=0, ooms=0,
)  # fmt: skip


def documented() -> list[str]:
    section = PAGE.partition("\n## Log lines\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_field_is_documented_once_and_no_other():
    written = {*fields(), *about(LEASE), *OF_EVERY_LINE, *ADDED}

    assert sorted(documented()) == sorted(written)


def test_a_field_of_a_call_is_found():
    assert "shared/loops.py" in fields()["loop"]
