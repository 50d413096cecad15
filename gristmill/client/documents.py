"""The JSON documents of the service, as docs/http.md describes them.

They are types for editors, and plain dicts at run time.

Times are texts in ISO 8601. A newer service may send further keys.
"""

from typing import Any, Literal, NotRequired, TypedDict

JobState = Literal["queued", "running", "paused", "cancelling", "succeeded", "failed", "cancelled"]
WaitingFor = Literal["running_jobs"]
"""A limit of the tenant that keeps a job from running now."""


class Column(TypedDict):
    """A column of a result, with its type in the words of docs/spec.md."""

    name: str
    type: str


class Field(TypedDict):
    """A column of the data. One that is a `key` is read for its spelling."""

    name: str
    type: str
    key: NotRequired[bool]


class Warned(TypedDict):
    """A finding that changes no number; `column` is there if it is about one."""

    code: str
    detail: str
    column: NotRequired[str]


class Problem(TypedDict):
    """The cause of a failure.

    Each of `errors` has a `detail` and its place: a `pointer`, or `uri` and `line`.
    """

    code: str
    category: Literal["user", "quota", "source", "system"]
    retryable: bool
    detail: str
    errors: list[dict[str, Any]]


class Chunks(TypedDict):
    total: int
    done: int
    leased: int
    failed: int


class Bytes(TypedDict):
    total: int
    done: int


class RowCounts(TypedDict):
    read: int
    filtered: int
    dropped_null_key: int
    quarantined: int
    skipped: int


class Progress(TypedDict):
    """`fraction` is of the whole job, from 0 to 1. `eta_range` has the least and the most likely seconds."""

    fraction: float
    chunks: Chunks
    rows: RowCounts
    bytes: Bytes
    rows_per_second: int | None
    eta_seconds: int | None
    eta_range: tuple[int, int] | None


class Timing(TypedDict):
    created_at: str
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    queue_ms: int
    plan_ms: int
    scan_ms: int
    merge_ms: int
    publish_ms: int


class ResultDocument(TypedDict):
    """A version of a result. `relation` is its name for SQL.

    `name` and `version` are null without `output.name`.
    """

    name: str | None
    version: int | None
    current: bool
    relation: str
    rows: int
    digest: str
    columns: list[Column]
    expires_at: str | None
    job_id: NotRequired[str]
    published_at: NotRequired[str]
    links: NotRequired[dict[str, str]]


class JobDocument(TypedDict):
    """A job. Lists leave out `spec`, `schema`, `delimiter` and `warnings`; events leave out `spec`."""

    id: str
    state: JobState
    phase: Literal["planning", "scanning", "merging", "publishing", "done"]
    waiting_for: WaitingFor | None
    done: bool
    revision: int
    progress: Progress
    timing: Timing
    schema: NotRequired[list[Field] | None]
    delimiter: NotRequired[str | None]
    warnings: NotRequired[list[Warned]]
    result: ResultDocument | None
    error: Problem | None
    priority: int
    labels: dict[str, str]
    spec: NotRequired[dict[str, Any] | None]
    links: dict[str, str]


class OutcomeDocument(TypedDict):
    """A job of a change of many: its state after the change, or the `error` why it could not be changed.

    `changed` is false, too, for a job that was as asked before.
    """

    id: str
    changed: bool
    state: JobState | None
    error: Problem | None


class BulkDocument(TypedDict):
    """A change of many jobs, oldest first; `changed` is the number of those that were changed."""

    changed: int
    items: list[OutcomeDocument]


class Estimate(TypedDict):
    """A number with its `accuracy`: exact, estimate, lower_bound or unknown."""

    value: float | None
    accuracy: Literal["exact", "estimate", "lower_bound", "unknown"]
    method: str
    low: NotRequired[float]
    high: NotRequired[float]


class PlanColumn(TypedDict):
    """A column of the data. `nulls` is the share of nulls among the first rows."""

    name: str
    type: str | None
    used: bool
    declared: bool
    key: bool
    nulls: float | None


class Findings(TypedDict):
    """The findings of a dry run."""

    files: list[dict[str, Any]]
    file_count: int
    bytes: int
    format: str
    compression: str
    csv: dict[str, Any] | None
    columns: list[PlanColumn]
    column_count: int
    sample: list[dict[str, Any]]
    warnings: list[Warned]
    chunks: Estimate
    rows: Estimate
    groups: Estimate
    seconds: Estimate | None


class PlanDocument(TypedDict):
    """A dry run: `plan` once it has succeeded, `error` once it has failed."""

    id: str
    state: str
    waiting_for: WaitingFor | None
    done: bool
    created_at: str
    finished_at: str | None
    expires_at: str | None
    error: Problem | None
    plan: Findings | None
    spec: dict[str, Any] | None
    links: dict[str, str]


class UploadDocument(TypedDict):
    """A stored file. An unfinished one has no `sha256` yet, but an `offset` and `expires_at`."""

    id: str
    uri: str
    filename: str | None
    bytes: int
    sha256: str | None
    created_at: str
    offset: NotRequired[int]
    expires_at: NotRequired[str]


class BadRow(TypedDict):
    """A record kept aside. `byte` is its begin in the decompressed data; `text` its first 4,096 bytes."""

    uri: str
    byte: int | None
    line: int | None
    row: int | None
    column: str | None
    reason: str
    value: str | None
    text: str | None
    truncated: bool


class Receipt(TypedDict):
    """The account of a job: its files, and the place where each row went."""

    job: str
    spec_digest: str
    result: dict[str, Any]
    gristmill: str
    state_version: int
    files: list[dict[str, Any]]
    bytes: int
    warnings: list[Warned]
    chunks: int
    rows: dict[str, int]
    groups: int
    epoch: int
    attempts: dict[str, int]
    times: dict[str, str | None]


class WorkerDocument(TypedDict):
    id: str
    state: Literal["live", "draining", "gone"]
    host: str
    pid: int
    version: str
    state_version: int | None
    slots: int
    able: int
    started_at: str
    seen_at: str
    silent_ms: int
    usage: dict[str, float | None]
    units: list[dict[str, Any]]
    links: dict[str, str]


class KeyDocument(TypedDict):
    """An API key. Its text, `key`, is there only in the answer that makes it."""

    id: str
    name: str
    scopes: list[str]
    job: str | None
    parent: str | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
    key: NotRequired[str]


class Event(TypedDict):
    """A change of a job: `data` is the job for `state`, `progress` and `done`, a warning for `warning`."""

    name: Literal["state", "progress", "warning", "done"]
    data: dict[str, Any]
