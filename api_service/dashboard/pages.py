"""The URLs of the dashboard on one page. They are no part of the API, and of its description."""

from api_service.auth.rights import Scope
from api_service.dashboard import (
    assets,
    bulk,
    job,
    jobs,
    live,
    new_job,
    overview,
    results,
    signing,
    versions,
    workers,
)
from api_service.dashboard.job_filters import FILTERS
from api_service.dashboard.job_view import CHANGES
from api_service.operations import Handler, Operation, Parameter, text
from api_service.routes.paths import ID, NAME
from api_service.routes.rows import AFTER

_CHUNKS = text("chunks", "The number of the first chunk to show, each in a cell of its own")
_NEW = (
    text("plan", "The dry run to go on with"),
    text("from", "The job whose spec is the beginning"),
    Parameter(name="upload", about="An upload that is chosen", kind={"type": "string"}, repeated=True),
)
_FILTERS = tuple(text(name, "As GET /v1/jobs takes it") for name in FILTERS)
_PART = text(results.PART, "A part of the names to show")
_VERSION = text("version", "The number of a version")
_FORM = tuple(
    text(name, "A field of the filter form")
    for name in ("column", "operator", "value", "order_by", "select", "limit", "version", "chart")
)


def _page(
    method: str, path: str, handler: Handler, scope: Scope | None, *parameters: Parameter, open_: bool = False
) -> Operation:
    summary = (handler.__doc__ or path).partition("\n")[0]
    return Operation(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        scope=scope,
        parameters=parameters,
        open=open_,
        answers={200: "text/html"},
    )


PAGES = (
    _page("GET", "/", overview.show, "read"),
    _page("GET", "/jobs", jobs.show, "read", *_FILTERS, AFTER),
    *(_page("GET", f"/jobs/{name}", bulk.ask(name), "submit", *_FILTERS) for name in bulk.CHANGES),
    *(_page("POST", f"/jobs/{name}", bulk.act(name), "submit") for name in bulk.CHANGES),
    _page("GET", f"/jobs/{ID}", job.show, "read", _CHUNKS),
    _page("GET", f"/jobs/{ID}/live", live.of_job, "read", text("revision", "The revision of the page")),
    _page(
        "GET", f"/jobs/{ID}/strip", job.show_strip, "read", _CHUNKS, text("seen", "The digest of the strip")
    ),
    *(_page("POST", f"/jobs/{ID}/{name}", job.change(name), "submit") for name in CHANGES),
    _page("GET", f"/jobs/{ID}/rows", results.show_job, "read", open_=True),
    _page("GET", f"/jobs/{ID}/rows/filter", results.filter_rows_of_job, "read", *_FORM),
    _page("GET", "/results", results.search, "read", _PART, AFTER),
    _page("GET", f"/results/{NAME}", results.show, "read", open_=True),
    _page("GET", f"/results/{NAME}/filter", results.filter_rows, "read", *_FORM),
    _page("GET", f"/results/{NAME}/versions", versions.show, "read", AFTER),
    _page("GET", f"/results/{NAME}/delete", versions.ask, "submit", _VERSION),
    _page("POST", f"/results/{NAME}/delete", versions.delete, "submit"),
    _page("GET", "/new", new_job.show, "read", *_NEW),
    _page("POST", "/new", new_job.act, "submit"),
    _page("POST", "/new/preview", new_job.preview, "submit"),
    _page("POST", "/new/upload", new_job.upload, "upload"),
    _page("GET", "/workers", workers.show, "admin", AFTER),
    _page("POST", f"/workers/{ID}/drain", workers.drain, "admin"),
    _page("GET", "/sign-in", signing.ask, None, text("next", "The path to go on with")),
    _page("POST", "/sign-in", signing.sign_in, None),
    _page("POST", "/sign-out", signing.sign_out, None),
    _page("GET", "/assets/{file:[a-z.]{1,64}}", assets.read, None, text("v", "The digest of the file")),
)
