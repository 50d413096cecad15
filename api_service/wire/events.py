"""Server-Sent Events of a job, as text/event-stream has them."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from api_service.wire.documents import JobDocument, ProgressDocument, TimingDocument
from shared.core.plan import Warned

RETRY_MILLISECONDS = 2000
BEGINNING = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
"""How long a browser waits before it connects again."""
PING = b": ping\n\n"


class ProgressEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a job that change while it stays in one revision."""

    id: str
    revision: int
    progress: ProgressDocument
    timing: TimingDocument


def event(name: str, revision: int, data: msgspec.Struct) -> bytes:
    """JSON has no line feed outside of strings, and in strings none that is not escaped."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (revision, name.encode(), msgspec.json.encode(data))


def state_event(job: JobDocument) -> bytes:
    """The job without its spec; its event is `done` when it has ended."""
    return event("done" if job.done else "state", job.revision, replace(job, spec=UNSET))


def progress_event(job: JobDocument) -> bytes:
    part = ProgressEvent(id=job.id, revision=job.revision, progress=job.progress, timing=job.timing)
    return event("progress", job.revision, part)


def warning_events(revision: int, before: Sequence[Warned], now: Sequence[Warned]) -> bytes:
    return b"".join(event("warning", revision, warned) for warned in now if warned not in before)
