"""The forms in which a view of a job is sent: each is made once, however many clients ask for it."""

from functools import cached_property
from weakref import WeakKeyDictionary

import msgspec

from api_service.services.jobs import JobView
from api_service.wire.documents import JobDocument, etag, job_document
from api_service.wire.events import progress_event, state_event, warning_events
from api_service.wire.links import Links


class Sent:
    def __init__(self, view: JobView, link: Links) -> None:
        # not the view itself, which would then never be forgotten
        self._job, self._progress, self._rows, self._at = view.job, view.progress, view.rows, view.at
        self._link = link

    @cached_property
    def document(self) -> JobDocument:
        return job_document(self._job, self._progress, self._at, self._link, self._rows)

    @cached_property
    def body(self) -> bytes:
        return msgspec.json.encode(self.document)

    @cached_property
    def etag(self) -> str:
        return etag(self._job, self._progress, self._rows)

    @cached_property
    def state_event(self) -> bytes:
        return state_event(self.document)

    @cached_property
    def progress_event(self) -> bytes:
        return progress_event(self.document)

    @cached_property
    def news(self) -> WeakKeyDictionary[JobView, bytes]:
        """Older view -> the events that lead from there to this one."""
        return WeakKeyDictionary()


_SENT: WeakKeyDictionary[JobView, Sent] = WeakKeyDictionary()


def sent(view: JobView, link: Links) -> Sent:
    found = _SENT.get(view)
    if found is None:
        found = _SENT[view] = Sent(view, link)
    return found


def events(view: JobView, seen: JobView | None, link: Links) -> bytes:
    """The events that bring a client that has *seen* an older view up to date; all of it, without one."""
    form = sent(view, link)
    if seen is None:
        return form.state_event
    if (known := form.news.get(seen)) is None:
        known = form.news[seen] = _news(view, seen, link)
    return known


def _news(view: JobView, seen: JobView, link: Links) -> bytes:
    if view.job.revision != seen.job.revision:
        before, now = (each.job.plan.warnings if each.job.plan else () for each in (seen, view))
        return warning_events(view.job.revision, before, now) + sent(view, link).state_event
    if sent(view, link).document.progress != sent(seen, link).document.progress:
        return sent(view, link).progress_event
    return b""
