"""The page of a job, its strip of chunks, and its buttons."""

import asyncio
import hashlib
import json
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from api_service.app_keys import AUTHENTICATOR, JOB_PAGES, JOBS, LINKS, TENANT, actor_of
from api_service.dashboard import equivalents, job_view
from api_service.dashboard.rendering import form, own_url, page, see_other, shared
from api_service.dashboard.short_spec import short
from api_service.handlers.sent import sent
from api_service.operations import Handler
from api_service.services.job_pages import Details, Strip
from api_service.services.jobs import JobView
from api_service.wire import parameters
from api_service.wire.documents import JobDocument
from api_service.wire.history import entry_document
from api_service.wire.links import Links
from shared.core.strip import MOST_CELLS
from shared.db.strips import Extent

MOST_PLACES = 50
MOST_FILES = 3
"""Named at the top; the spec has all."""
MOST_SPEC = 16_384
"""Characters of a spec that is shown: the page has it three times."""
MOST_CHUNK = 10**9
_SPECS: WeakKeyDictionary[JobView, str | None] = WeakKeyDictionary()
"""The spec as it is shown; None is too long for that."""
_CELLS: WeakKeyDictionary[Strip, dict[str, Any]] = WeakKeyDictionary()


async def show(request: web.Request) -> web.Response:
    """Show a job: its progress, chunks, failures, receipt, spec and history."""
    extent, key = await asyncio.gather(_extent(request), request.app[AUTHENTICATOR].needs_key())
    (view, details), strip = await asyncio.gather(
        _view_and_details(request, extent), _read_strip(request, extent, recent=True)
    )
    job = sent(view, request.app[LINKS]).document
    shown = await _strip(request, view, strip)
    values = _values(job, details) | _spec(view, job, own_url(request), key=key) | shown
    name = view.job.result_name or view.job.labels.get("name")
    return page(request, "job.html", name=name, here_with_query=request.path_qs, **values)


async def _extent(request: web.Request) -> Extent:
    return await request.app[JOB_PAGES].extent(request[TENANT], request.match_info["id"])


async def _view_and_details(request: web.Request, extent: Extent) -> tuple[JobView, Details]:
    view = await request.app[JOBS].recent(request[TENANT], request.match_info["id"], extent.revision)
    return view, await request.app[JOB_PAGES].details(view)


def _values(job: JobDocument, details: Details) -> dict[str, Any]:
    return {
        "job": job,
        "phases": job_view.phases(job),
        "changes": job_view.changes(job),
        "details": details,
        "most_files": MOST_FILES,
        "history": [entry_document(entry) for entry in details.history],
        "said": job_view.said,
        "places": job.error["errors"][:MOST_PLACES] if job.error else [],
        "cure": job_view.cure(job.error) if job.error else None,
    }


def _spec(view: JobView, job: JobDocument, url: str, *, key: bool) -> dict[str, str | None]:
    spec = job.spec
    assert isinstance(spec, dict), "a job that is read by itself has its spec"
    if view not in _SPECS:
        shown = json.dumps(short(spec), indent=2, ensure_ascii=False)
        _SPECS[view] = shown if len(shown) <= MOST_SPEC else None
    if (text := _SPECS[view]) is None:
        return {"spec": None}
    return {
        "spec": text,
        "curl": equivalents.curl(spec, url, key=key),
        "python": equivalents.python(spec, url),
    }


async def show_strip(request: web.Request) -> web.Response:
    """Show the strip of chunks again, if it has changed since the page has `seen` it."""
    view = await request.app[JOBS].read(request[TENANT], request.match_info["id"])
    extent = Extent(revision=view.job.revision, chunks=view.progress.chunks_total)  # shared by all open pages
    shown = await _strip(request, view, await _read_strip(request, extent))
    if shown["seen"] == request.query.get("seen"):
        return web.Response(status=204)
    return page(request, "strip.html", **shown)


async def _read_strip(request: web.Request, extent: Extent, *, recent: bool = False) -> Strip:
    """All chunks, or those from the number `chunks` of the query on."""
    job_id, start = request.match_info["id"], _start(request)
    return await request.app[JOB_PAGES].strip(job_id, extent, start, recent=recent)


async def _strip(request: web.Request, view: JobView, strip: Strip) -> dict[str, Any]:
    """The values of strip.html; a strip that may be older than the view is read again."""
    if strip.extent.revision < view.job.revision:
        strip = await _read_strip(request, await _extent(request))
    job, start = sent(view, request.app[LINKS]).document, _start(request)
    cells = _cells(strip, request.app[LINKS])
    asked = f"chunks={start}&" if start is not None else ""
    return cells | {
        "job": job,
        "total": strip.extent.chunks,
        "per": strip.per,
        "start": start,
        "most": MOST_CELLS,
        "poll": None if job.done else f"/jobs/{job.id}/strip?{asked}seen={cells['seen']}",
    }


def _start(request: web.Request) -> int | None:
    if request.query.get("chunks") in {None, "0"}:
        return 0 if "chunks" in request.query else None
    return parameters.whole_number(request.query, "chunks", default=None, most=MOST_CHUNK)


def _cells(strip: Strip, link: Links) -> dict[str, Any]:
    """The cells, their digest and the number of chunks in each state: made once for all pages."""
    if (known := _CELLS.get(strip)) is None:
        cells = [(job_view.cell_state(c), job_view.cell_text(c), c.first) for c in strip.cells]
        html = shared("strip_cells.html", link, cells=cells, per=strip.per)
        seen = hashlib.sha256(html.encode()).hexdigest()[:12]
        known = _CELLS[strip] = {"cells": html, "states": job_view.counted(strip.cells), "seen": seen}
    return known


def change(name: str) -> Handler:
    """The handler of a button: *name* is the change of JobService."""

    async def act(request: web.Request) -> web.Response:
        await form(request)
        job_id = request.match_info["id"]
        await getattr(request.app[JOBS], name)(request[TENANT], job_id, actor_of(request))
        return see_other(request, f"/jobs/{job_id}")

    act.__doc__ = f"{name.capitalize()} the job, and show it"
    return act
