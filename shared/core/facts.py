"""Facts that `doctor` finds about Postgres, Redis and the cluster; api_service.doctor judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.core.workers import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """*ahead* are the seconds of the server's clock before this machine's, give or take *doubt*."""

    ahead: float
    doubt: float


def clock(before: float, told: float, after: float) -> Clock:
    """The server told its time between two readings of this machine's clock; all in seconds."""
    return Clock(ahead=told - (before + after) / 2, doubt=max(0.0, after - before) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Postgres, and this session's role and database in it; names are quoted as SQL needs them."""

    version: str
    version_number: int
    replica: bool
    encoding: str
    max_connections: int
    reserved_connections: int
    role_connections: int
    database_connections: int
    me: str
    database: str
    superuser: bool
    may_create_role: bool
    may_create_schema: bool
    may_create_temporary: bool
    may_run_programs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The content of a migrated database, as far as `doctor` looks at it."""

    workers: tuple[Worker, ...]
    has_keys: bool
    missing_readers: tuple[str, ...]
    loose_readers: tuple[tuple[str, str], ...]
    """Each right beyond reading the results of a reader's tenant, and the statements that take it away."""
    uploads: tuple[tuple[str, str], ...]
    """Tenant and id of the newest uploads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """*sessions* are by application name. *unsafe* has the settings that are off, each with its source.

    *foreign* are schemas and tables that another role owns, as `ALTER` names them.
    *revision* is None before the first migration, *cluster* is None unless the schema is at head.
    """

    server: Server
    clock: Clock
    sessions: Mapping[str, int]
    unsafe: Mapping[str, str]
    foreign: tuple[str, ...]
    closed_views: tuple[str, ...]
    revision: str | None
    head: str
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """*info* is the answer to INFO. *refusal* is the error with which it refused a write, else empty."""

    info: Mapping[str, object] = field(default_factory=dict)
    refusal: str = ""
    clock: Clock
