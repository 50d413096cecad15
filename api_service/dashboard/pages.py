"""The URLs of the dashboard on one page. They are no part of the API, and of its description."""

from api_service.auth.rights import Scope
from api_service.dashboard import assets, jobs, new_job, overview, signing, workers
from api_service.operations import Handler, Operation, Parameter, text
from api_service.routes.paths import ID
from api_service.routes.rows import AFTER

_NEW = (
    text("plan", "The dry run to go on with"),
    text("from", "The job whose spec is the beginning"),
    Parameter(name="upload", about="An upload that is chosen", kind={"type": "string"}, repeated=True),
)
_FILTERS = tuple(text(name, "As GET /v1/jobs takes it") for name in jobs.FILTERS)


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
    _page("GET", "/workers", workers.show, "admin", AFTER),
    _page("POST", f"/workers/{ID}/drain", workers.drain, "admin"),
    _page("GET", "/new", new_job.show, "read", *_NEW),
    _page("POST", "/new", new_job.act, "submit"),
    _page("POST", "/new/preview", new_job.preview, "submit"),
    _page("POST", "/new/upload", new_job.upload, "upload"),
    _page("GET", "/sign-in", signing.ask, None, text("next", "The path to go on with")),
    _page("POST", "/sign-in", signing.sign_in, None),
    _page("POST", "/sign-out", signing.sign_out, "read"),
    _page("GET", "/assets/{file:[a-z.]{1,64}}", assets.read, None, text("v", "The digest of the file")),
)
