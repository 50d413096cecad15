"""One log line for each change that a caller makes or is refused: its author, the action and the object.

The event is `audit`. Its fields: `action`, `object`, `tenant`, `key` (the id of the API key, null for
GRISTMILL_API_KEY and without keys), `outcome` (`done` or `refused`), `status`, `code` of a refusal, `client`,
and `request_id`. A command of the server has `client` null and `key` "operator".
"""

import re
from collections.abc import Awaitable, Iterable, Mapping

import structlog
from aiohttp import web

from api_service.app_keys import CALLER, CHANGED, CLIENT
from api_service.operations import Handler, Operation
from api_service.problems import status_and_title
from shared.errors import GristmillError

ACTIONS = {
    "POST /v1/uploads": "upload.create",
    "DELETE /v1/uploads/{id}": "upload.delete",
    "POST /v1/tus": "upload.begin",
    "PATCH /v1/tus/{id}": "upload.append",
    "DELETE /v1/tus/{id}": "upload.delete",
    "POST /v1/tus/{id}": "upload.change",
    "POST /v1/jobs": "job.submit",
    "POST /v1/jobs/{id}/cancel": "job.cancel",
    "POST /v1/jobs/{id}/pause": "job.pause",
    "POST /v1/jobs/{id}/resume": "job.resume",
    "POST /v1/jobs/{id}/retry": "job.retry",
    "POST /v1/jobs/cancel": "job.cancel",
    "POST /v1/jobs/retry": "job.retry",
    "PATCH /v1/jobs/{id}": "job.change",
    "DELETE /v1/jobs/{id}": "job.delete",
    "POST /v1/plans": "plan.submit",
    "DELETE /v1/plans/{id}": "plan.delete",
    "DELETE /v1/results/{name}": "result.delete",
    "DELETE /v1/results/{name}/versions/{version}": "version.delete",
    "POST /v1/workers/{id}/drain": "worker.drain",
    "POST /v1/keys": "key.create",
    "DELETE /v1/keys/{id}": "key.revoke",
    "POST /jobs/cancel": "job.cancel",
    "POST /jobs/retry": "job.retry",
    "POST /jobs/{id}/cancel": "job.cancel",
    "POST /jobs/{id}/pause": "job.pause",
    "POST /jobs/{id}/resume": "job.resume",
    "POST /jobs/{id}/retry": "job.retry",
    "POST /results/{name}/delete": "result.delete",
    "POST /new": "job.submit",
    "POST /new/upload": "upload.create",
    "POST /workers/{id}/drain": "worker.drain",
    "POST /sign-in": "session.begin",
    "POST /sign-out": "session.end",
}
"""The action of each request that changes something."""
ASKS = {"POST /new/preview"}
"""Requests of other methods than GET that change nothing."""
_PATTERN = re.compile(r"\{(\w+):(?:[^{}]|\{[^{}]*\})*\}")
_ID = re.compile(r"\b(job|plan|upl|key)_[0-9a-z]{26}\b")
_OF_ID = {("job.submit", "plan"): "plan.submit"}
"""The form of a new job makes a dry run first: then the id in `Location` is that of a plan."""
log = structlog.get_logger()


def named(operation: Operation) -> str:
    """Its method and its path, as ACTIONS has them."""
    path = _PATTERN.sub(r"{\1}", operation.path)
    return f"{operation.method} {path}"


def actions(operations: Iterable[Operation]) -> Mapping[Handler, str]:
    return {each.handler: ACTIONS[named(each)] for each in operations if named(each) in ACTIONS}


async def audited(
    request: web.Request, action: str, answering: Awaitable[web.StreamResponse]
) -> web.StreamResponse:
    """The answer, after its lines: one for each thing that the request has changed, or is refused."""
    try:
        response = await answering
    except GristmillError as error:
        _tell(request, action, _objects(request, None) or [None], status_and_title(error)[0], error.code)
        raise
    except web.HTTPException as error:
        _tell(request, action, _objects(request, None) or [None], error.status, None)
        raise
    refused = response.status >= 400  # a page shows some errors in its form
    objects = _objects(request, response) or ([None] if refused else [])
    _tell(request, action, objects, response.status, None)
    return response


def _objects(request: web.Request, response: web.StreamResponse | None) -> list[str | None]:
    """Those that the handler names, else the one of the path, else the one that `Location` leads to."""
    if (changed := request.get(CHANGED)) is not None:
        return list(changed)
    if path := "/".join(request.match_info.values()):
        return [path]
    found = _ID.search(response.headers.get("Location", "")) if response is not None else None
    return [found[0]] if found else []


def _tell(
    request: web.Request, action: str, objects: Iterable[str | None], status: int, code: str | None
) -> None:
    caller = request.get(CALLER)
    for each in objects:
        kind = (each or "").partition("_")[0]
        log.info(
            "audit",
            action=_OF_ID.get((action, kind), action),
            object=each,
            tenant=caller and caller.tenant,
            key=caller and caller.key_id,
            outcome="refused" if status >= 400 else "done",
            status=status,
            code=code,
            client=request[CLIENT].address,
        )


def by_operator(action: str, object_: str, tenant: str | None, **more: object) -> None:
    """The line of a command of the server."""
    log.info(
        "audit",
        action=action,
        object=object_,
        tenant=tenant,
        key="operator",
        outcome="done",
        status=None,
        code=None,
        client=None,
        **more,
    )
