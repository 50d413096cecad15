"""How long finished work is kept.

These are promises to users (docs/reliability.md), so the time scale of tests does not shorten them.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    partials: timedelta = timedelta(hours=24)
    """Those of a failed or cancelled job, which can be retried for as long."""
    jobs: timedelta = timedelta(days=7)
    """A finished job, after its end; longer while it has rows."""
    plans: timedelta = timedelta(hours=1)
    """A dry run, after its end."""
    unnamed: timedelta = timedelta(days=7)
    """The rows of a job without `output.name`."""
    superseded: timedelta = timedelta(hours=1)
    """The rows of a version that its spec no longer keeps, after they were replaced.

    Readers still follow cursors through them.
    """
    uploads: timedelta = timedelta(days=7)
    """An upload, after it was made or last named by a job that was submitted; longer while a job needs it."""
    unfinished_uploads: timedelta = timedelta(days=1)
    """A resumable upload, after its last bytes arrived."""
    unknown_files: timedelta = timedelta(days=1)
    """A file among the uploads that has no row: its upload died between file and row."""
    workers: timedelta = timedelta(hours=1)
    """The row of a worker, after its last heartbeat."""
    keys: timedelta = timedelta(days=7)
    """The row of an API key that ends by itself, after its end."""
