"""Jobs, versions and uploads as the stores give them: rows of their tables, without any driver."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

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
    priority: int
    expires: timedelta | None
    deadline_at: datetime | None
    started_at: datetime | None
    planned_at: datetime | None
    scanned_at: datetime | None
    merged_at: datetime | None
    finished_at: datetime | None
    waits: bool = False
    from_plan: str | None = None

    @property
    def done(self) -> bool:
        return self.finished_at is not None

    @property
    def waiting_for(self) -> Literal["running_jobs"] | None:
        """The limit of its tenant for which no unit of the job is leased now."""
        return "running_jobs" if self.waits and self.state in {JobState.QUEUED, JobState.RUNNING} else None


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
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counts over a job's units; bytes are of input, rows those that the finished chunks read.

    `bytes_weighed` are those done, each by the share that scanning has of its whole cost. `bytes_least_left`
    are those of the smallest chunk that is not done. At `stepped_at` the last unit was done. `chunk_commits`
    ended the chunks that are done: one commit ends those of a fold.
    """

    chunks_total: int = 0
    chunks_done: int = 0
    chunk_commits: int = 0
    chunks_leased: int = 0
    chunks_failed: int = 0
    merges_total: int = 0
    merges_done: int = 0
    rows: RowCounts = field(default_factory=RowCounts)
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_weighed: int = 0
    bytes_least_left: int = 0
    stepped_at: datetime | None = None


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
    """One published table; `relation` lies in schema gristmill_results, its first column is `_id`.

    It is deleted soon after `expires_at`.
    """

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
    expires_at: datetime | None
    current: bool


class Kept(StrEnum):
    """Whether the rows of a job are there: as the version that its name shows, or as an older one."""

    CURRENT = "current"
    REPLACED = "replaced"
    DELETED = "deleted"


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
class UnfinishedUpload:
    """One row of gristmill.unfinished_uploads: the first *received* of its *bytes* are stored.

    `metadata` is the header Upload-Metadata. An *expired* one takes no more bytes.
    """

    id: str
    tenant: str
    filename: str | None
    metadata: str | None
    bytes: int
    received: int
    created_at: datetime
    expires_at: datetime
    expired: bool


class Checksum(NamedTuple):
    """A digest that a client promises for the bytes of one request; *algorithm* is a name of hashlib."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One row of gristmill.api_keys, without the digest.

    `parents` are the keys that made it: the last one did itself, and was made by the one before. When one of
    them is revoked, so is this key: `revoked_at` says when.
    """

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    job: str | None
    parents: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def parent(self) -> str | None:
        return self.parents[-1] if self.parents else None


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
