"""The live part of a job's page: all that moves, rendered once for all pages of the job."""

from weakref import WeakKeyDictionary

from aiohttp import web

from api_service.app_keys import JOBS, LINKS, TENANT
from api_service.dashboard.job_view import phases
from api_service.dashboard.rendering import shared
from api_service.handlers.following import follow
from api_service.handlers.sent import sent
from api_service.services.jobs import JobView
from api_service.wire.links import Links

_PARTS: WeakKeyDictionary[JobView, bytes] = WeakKeyDictionary()


async def of_job(request: web.Request) -> web.StreamResponse:
    """Follow a job: the parts of its page as Server-Sent Events.

    An unnamed event has parts of the page. The event `changed` says that the job has another revision than
    the page. The page then reads itself anew, with the rights of its reader. The stream ends with the job.
    """
    view = await request.app[JOBS].read(request[TENANT], request.match_info["id"])
    known = request.headers.get("Last-Event-ID") or request.query.get("revision", "")
    link = request.app[LINKS]
    return await follow(request, view, lambda now, seen: news(now, seen, known, link))


def news(view: JobView, seen: JobView | None, known: str, link: Links) -> bytes:
    """*known* is the revision of the page before its reader has *seen* a view.

    A job that is done is always told to a page that has just connected: it may have missed the end.
    """
    revision = view.job.revision
    if seen is None:
        changed = view.job.done or str(revision) != known
    else:
        changed = revision != seen.job.revision
        if not changed and sent(view, link).document.progress == sent(seen, link).document.progress:
            return b""
    return _parts(view, link) + (b"id: %d\nevent: changed\ndata: %d\n\n" % (revision, revision)) * changed


def _parts(view: JobView, link: Links) -> bytes:
    if (known := _PARTS.get(view)) is None:
        job = sent(view, link).document
        html = shared("job_live.html", link, job=job, phases=phases(job))
        lines = "".join(f"data: {line}\n" for line in html.splitlines())
        known = _PARTS[view] = f"id: {job.revision}\n{lines}\n".encode()
    return known
