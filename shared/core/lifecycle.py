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
    Transition(BEFORE, "submit", "queued"),
    Transition("queued", "plan leased", "running"),
    Transition("queued", "pause", "paused"),
    Transition("running", "pause", "paused"),
    Transition("paused", "resume", "queued"),
    Transition("paused", "resume", "running"),
    Transition("running", "published", "succeeded"),
    Transition("paused", "published", "succeeded"),
    Transition("queued", "cancel", "cancelling"),
    Transition("running", "cancel", "cancelling"),
    Transition("paused", "cancel", "cancelling"),
    Transition("queued", "deadline passed", "cancelling"),
    Transition("running", "deadline passed", "cancelling"),
    Transition("paused", "deadline passed", "cancelling"),
    Transition("running", "a unit failed", "cancelling"),
    Transition("paused", "a unit failed", "cancelling"),
    Transition("cancelling", "nothing leased", "cancelled"),
    Transition("cancelling", "nothing leased, with an error", "failed"),
    Transition("failed", "retry", "queued"),
    Transition("failed", "retry", "running"),
    Transition("cancelled", "retry", "queued"),
    Transition("cancelled", "retry", "running"),
)

UNIT = (
    Transition(BEFORE, "planned", "pending"),
    Transition("pending", "claim", "leased"),
    Transition("leased", "commit", "done"),
    Transition("leased", "lease expired, child died, drained, preempted", "pending"),
    Transition("leased", "epoch raised", "pending"),
    Transition("leased", "cannot help to try again", "failed"),
    Transition("pending", "job is ending", "cancelled"),
    Transition("leased", "given back to an ending job", "cancelled"),
    Transition("done", "epoch raised", "pending"),
    Transition("failed", "retry", "pending"),
    Transition("cancelled", "retry", "pending"),
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
