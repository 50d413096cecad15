"""The rows of the tables that answers are made of: uploads, jobs and versions of results."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.core.lifecycle import JobState, Phase
from shared.core.plan import Plan
from shared.core.row_counts import RowCounts
from shared.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One row of gristmill.uploads; `sha256` is in hex."""

    id: str
    tenant: str
    filename: str | None
    bytes: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of gristmill.jobs; `spec` and `plan` are None in a list."""

    id: str
    tenant: str
    state: JobState
    phase: Phase
    revision: int
    spec: dict[str, Any] | None
    spec_digest: str
    labels: dict[str, str]
    result_name: str | None
    version: int | None
    plan: Plan | None
    error: Problem | None
    result: dict[str, Any] | None
    created_at: datetime
    deadline_at: datetime | None
    started_at: datetime | None
    planned_at: datetime | None
    scanned_at: datetime | None
    merged_at: datetime | None
    finished_at: datetime | None

    @property
    def done(self) -> bool:
        return self.finished_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts over a job's units; bytes are of input, rows those that the finished chunks read.

    `bytes_weighed` are those done, each by the share that scanning has of its whole cost.
    """

    chunks_total: int = 0
    chunks_done: int = 0
    chunks_leased: int = 0
    chunks_failed: int = 0
    merges_total: int = 0
    merges_done: int = 0
    rows: RowCounts = field(default_factory=RowCounts)
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_weighed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One published table; `relation` lies in schema gristmill_results, its first column is `_id`."""

    job_id: str
    tenant: str
    name: str | None
    version: int | None
    relation: str
    rows: int
    digest: str
    columns: list[dict[str, Any]]
    key_columns: int
    published_at: datetime
    current: bool
