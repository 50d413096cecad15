"""Which jobs of a tenant a list shows or a change of many jobs is for, and the outcome for each."""

from dataclasses import dataclass
from datetime import datetime

from shared.core.lifecycle import JobState
from shared.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Jobs that fit every field that is not None; they have all of the *labels*.

    `name` is their `output.name`, and `source` a part of one of their `source.uris`. They were made at
    `created_after` or later, and before `created_before`.
    """

    state: JobState | None = None
    labels: dict[str, str] | None = None
    name: str | None = None
    source: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One of many jobs after a change: its state, or the problem for which it was not changed.

    *changed* is false, without a problem, for a job that was as asked before.
    """

    job_id: str
    changed: bool
    state: JobState | None = None
    error: Problem | None = None
