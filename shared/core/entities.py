"""Jobs, versions and uploads as the stores give them: rows of their tables, without any driver."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.core.lifecycle import JobState, Phase
from shared.core.plan import Plan
from shared.core.row_counts import RowCounts
from shared.errors import Problem

Document = dict[str, Any]
"""A JSON object that passes through as it is: a user's spec, a stored result or receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of gristmill.jobs; `spec` and `plan` are None in a list."""

    id: str
    tenant: str
    state: JobState
    phase: Phase
    revision: int
    spec: Document | None
    spec_digest: str
    labels: dict[str, str]
    result_name: str | None
    version: int | None
    plan: Plan | None
    error: Problem | None
    result: Document | None
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
class JobRow:
    """The part of a job's row that its units need."""

    id: str
    tenant: str
    state: JobState
    phase: Phase
    epoch: int
    spec: Document
    plan: Plan | None
    result_name: str | None
    version: int | None


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
class NewVersion:
    """A version that is about to be published; only a named result has a number."""

    name: str | None
    version: int | None
    rows: int
    digest: str
    columns: list[dict[str, str]]
    key_columns: int


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
    columns: list[dict[str, str]]
    key_columns: int
    published_at: datetime
    current: bool


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
class KeptRow:
    """A bad row in quarantine: row *no* of *chunk*, which readers do not see.

    `byte` and `line`, or the number of the `row`, say where it is; `line` is None until every chunk is done.
    `text` is that of the record, and `value` that of the column. With `truncated`, one is only the beginning.
    """

    chunk: int
    no: int
    uri: str
    byte: int | None
    line: int | None
    row: int | None
    column: str | None
    reason: str
    value: str | None
    text: str | None
    truncated: bool
