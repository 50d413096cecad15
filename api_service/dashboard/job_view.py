"""The parts of a job's page as values: its phases, its strip, its failures. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api_service.dashboard.formats import count, duration
from api_service.wire.documents import JobDocument
from shared.core.lifecycle import JOB, Phase, UnitState, sources
from shared.core.strip import Cell
from shared.errors import Problem

CHANGES = ("cancel", "pause", "resume", "retry")
_BAR = 1000
"""The width of the bar of phases, in units of its own."""
_CURES = {
    "user": "Change the spec, and submit it as a new job: “Clone and edit” begins with it.",
    "source": "Correct the data, or tell the spec how to read it: “Clone and edit” begins with it.",
    "quota": "Raise the limit that the message names, or ask for less: “Clone and edit” begins with it.",
    "system": "Retry the job: its finished chunks stay finished. The logs of the service have more.",
}
"""Category of a problem -> the next step."""
_BAD_ROW = (
    " To go on without such rows, choose “quarantine”, which keeps them aside, or “skip” for “A bad row” "
    "(options.on_bad_row)."
)
_CODES = {
    "bad_row": _BAD_ROW,
    "too_many_bad_rows": " options.max_bad_rows allows more of them.",
}


@dataclass(frozen=True, slots=True)
class PhaseView:
    """A phase of a job: its milliseconds, and its part of a bar that is _BAR wide."""

    name: str
    ms: int
    now: bool
    x: int = 0
    width: int = 0


def phases(job: JobDocument) -> list[PhaseView]:
    """Queued, then the phases of the job, as far as it has come."""
    timing = job.timing
    times = {
        "queued": timing.queue_ms,
        Phase.PLANNING: timing.plan_ms,
        Phase.SCANNING: timing.scan_ms,
        Phase.MERGING: timing.merge_ms,
        Phase.PUBLISHING: timing.publish_ms,
    }
    now = None if job.done else job.phase if timing.started_at else "queued"
    found: list[PhaseView] = []
    whole, x = max(1, sum(times.values())), 0
    for name, ms in times.items():
        end = min(_BAR, round(_BAR * (sum(each.ms for each in found) + ms) / whole))
        found.append(PhaseView(name, ms, name == now, x, end - x))
        x = end
    return found


def changes(job: JobDocument) -> list[str]:
    """The changes that the state of the job allows."""
    return [change for change in CHANGES if job.state in sources(JOB, change)]


def cell_state(cell: Cell) -> str:
    """The state of a cell: that of its chunks, or the one to look at first."""
    if cell.failed:
        return UnitState.FAILED
    if cell.leased:
        return UnitState.LEASED
    for state, chunks in ((UnitState.DONE, cell.done), (UnitState.CANCELLED, cell.cancelled)):
        if chunks == cell.chunks:
            return state
    return "partly" if cell.done else UnitState.PENDING


def cell_text(cell: Cell) -> str:
    """`chunk 7: done, attempt 1, …ab12cd34, 120 ms`; of several chunks their number in each state."""
    if cell.chunks > 1:
        states = "".join(f", {number:,} {state}" for state, number in counted([cell]).items() if number)
        return f"chunks {cell.first:,}–{cell.last:,}{states}"
    tries = f", attempt {cell.attempt}" if cell.attempt else ""
    ran = f", {duration(cell.ran.total_seconds())}" if cell.ran is not None else ""
    return f"chunk {cell.first:,}: {cell_state(cell)}{tries}{_worker(cell.worker)}{ran}"


def _worker(worker: str | None) -> str:
    return f", {shortened(worker)}" if worker else ""


def shortened(name: str) -> str:
    """`…ab12cd34`: the last characters of an id, which tell it from others."""
    return f"…{name[-8:]}"


def counted(cells: Sequence[Cell]) -> dict[str, int]:
    """The number of chunks in each state."""
    found = Counter(dict.fromkeys(UnitState, 0))
    for cell in cells:
        for state in UnitState:
            found[state] += getattr(cell, state)
    return {str(state): number for state, number in found.items()}


def cure(problem: Problem) -> str:
    """The next step, where the message of the problem may not name one."""
    advice = _CURES.get(problem["category"], _CURES["system"])
    return advice + _CODES.get(problem["code"], "")


def said(detail: dict[str, Any] | None) -> str:
    """The rest of an entry of the history: `files 1, bytes 1,048,576`."""
    return ", ".join(f"{name} {_value(value)}" for name, value in (detail or {}).items())


def _value(value: Any) -> str:
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
