"""The states of jobs and units, and every step between them.

The SQL obeys these tables, and the docs draw them.
"""

from enum import StrEnum
from typing import NamedTuple


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """The present kind of work of a job. It informs: clients test whether a job is done."""

    PLANNING = "planning"
    SCANNING = "scanning"
    MERGING = "merging"
    PUBLISHING = "publishing"


class UnitState(StrEnum):
    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class UnitKind(StrEnum):
    PLAN = "plan"
    CHUNK = "chunk"
    MERGE = "merge"
    PUBLISH = "publish"


class Transition(NamedTuple):
    source: str
    event: str
    target: str


BEFORE = "[*]"
"""Stands for the time before the first state."""

JOB = (
    Transition(BEFORE, "submit", JobState.QUEUED),
    Transition(JobState.QUEUED, "plan leased", JobState.RUNNING),
    Transition(JobState.QUEUED, "pause", JobState.PAUSED),
    Transition(JobState.RUNNING, "pause", JobState.PAUSED),
    Transition(JobState.PAUSED, "resume", JobState.QUEUED),
    Transition(JobState.PAUSED, "resume", JobState.RUNNING),
    Transition(JobState.RUNNING, "published", JobState.SUCCEEDED),
    Transition(JobState.PAUSED, "published", JobState.SUCCEEDED),
    Transition(JobState.RUNNING, "dry run planned", JobState.SUCCEEDED),
    Transition(JobState.QUEUED, "cancel", JobState.CANCELLING),
    Transition(JobState.RUNNING, "cancel", JobState.CANCELLING),
    Transition(JobState.PAUSED, "cancel", JobState.CANCELLING),
    Transition(JobState.QUEUED, "deadline passed", JobState.CANCELLING),
    Transition(JobState.RUNNING, "deadline passed", JobState.CANCELLING),
    Transition(JobState.PAUSED, "deadline passed", JobState.CANCELLING),
    Transition(JobState.RUNNING, "a unit failed", JobState.CANCELLING),
    Transition(JobState.PAUSED, "a unit failed", JobState.CANCELLING),
    Transition(JobState.CANCELLING, "nothing leased", JobState.CANCELLED),
    Transition(JobState.CANCELLING, "nothing leased, with an error", JobState.FAILED),
    Transition(JobState.FAILED, "retry", JobState.QUEUED),
    Transition(JobState.FAILED, "retry", JobState.RUNNING),
    Transition(JobState.CANCELLED, "retry", JobState.QUEUED),
    Transition(JobState.CANCELLED, "retry", JobState.RUNNING),
)

UNIT = (
    Transition(BEFORE, "planned", UnitState.PENDING),
    Transition(UnitState.PENDING, "claim", UnitState.LEASED),
    Transition(UnitState.LEASED, "commit", UnitState.DONE),
    Transition(UnitState.LEASED, "lease expired, child died, drained, preempted", UnitState.PENDING),
    Transition(UnitState.LEASED, "epoch raised", UnitState.PENDING),
    Transition(UnitState.LEASED, "cannot help to try again", UnitState.FAILED),
    Transition(UnitState.PENDING, "job is ending", UnitState.CANCELLED),
    Transition(UnitState.LEASED, "given back to an ending job", UnitState.CANCELLED),
    Transition(UnitState.DONE, "epoch raised", UnitState.PENDING),
    Transition(UnitState.FAILED, "retry", UnitState.PENDING),
    Transition(UnitState.CANCELLED, "retry", UnitState.PENDING),
)


def sources(table: tuple[Transition, ...], event: str) -> set[str]:
    """The states in which *event* can happen."""
    return {step.source for step in table if step.event == event}


def diagram(name: str, table: tuple[Transition, ...]) -> str:
    """A mermaid state diagram; steps between the same two states share an arrow."""
    events: dict[tuple[str, str], list[str]] = {}
    for step in table:
        events.setdefault((step.source, step.target), []).append(step.event)
    arrows = [
        f"        {source} --> {target}: {'; '.join(names)}" for (source, target), names in events.items()
    ]
    return "\n".join(["stateDiagram-v2", "    direction LR", f"    state {name} {{", *arrows, "    }"])
