"""How long finished things are kept.

These are promises to users (docs/reliability.md), so the tests' time scale does not touch them.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    partials: timedelta = timedelta(hours=24)
    """Partials of a failed or cancelled job: it can be retried for as long."""
    jobs: timedelta = timedelta(days=7)
    """A finished job, after its end; longer while it has rows."""
    unnamed: timedelta = timedelta(days=7)
    """The rows of a job without `output.name`."""
    superseded: timedelta = timedelta(hours=1)
    """The rows of a version that its spec no longer keeps, after they were replaced: cursors walk them."""
    uploads: timedelta = timedelta(days=7)
    """An upload, after it was made or last named by a submitted job; longer while a job needs it."""
    strays: timedelta = timedelta(days=1)
    """A file among the uploads that the database does not know: its upload died between the two."""
    workers: timedelta = timedelta(hours=1)
    """The record of a worker, after its last heartbeat."""
