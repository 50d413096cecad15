"""What every request passes through: its id, one log line, errors turned into problems, and whose it is."""

import re
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from api_service.keys import ACCESS, REQUEST_ID, SETTINGS, TENANT
from api_service.problems import from_http_exception, problem_response, status_and_title
from api_service.services.access import DEFAULT_TENANT
from api_service.wire.credentials import bearer, check_own_site
from shared.errors import BadRequest, GristmillError, InternalError, TooManyConnections
from shared.ids import new_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SANE_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_OPEN = frozenset({"/livez", "/readyz"})
"""Health checks have no key and tell nothing."""
log = structlog.get_logger()


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, the caller's own if it is sane, and log one line when it is answered."""
    sent = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = sent if _SANE_ID.fullmatch(sent) else new_id("req")
    started = time.perf_counter()
    with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]):
        response = await handler(request)
        if _reserved(request):
            response.force_close()
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        polled = request.method in {"GET", "HEAD"} and response.status < 400
        (log.debug if polled else log.info)(
            "request", method=request.method, path=request.path, status=response.status, ms=milliseconds
        )
    return response


def _reserved(request: web.Request) -> bool:
    """Whether its connection is one of those that are kept for health checks (api_service.server)."""
    return getattr(request.protocol, "reserved", False)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem, unless the answer has begun: then the connection is cut (`streams`)."""
    headers = None
    try:
        return await handler(request)
    except GristmillError as error:
        problem = error
    except web.HTTPException as error:
        problem = from_http_exception(error, request)
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    except (RequestPayloadError, HttpProcessingError) as error:
        problem = BadRequest(f"The body cannot be read: {error}")
    except ConnectionError as error:
        log.info("request.cut", method=request.method, path=request.path, why=str(error))
        raise
    except Exception:
        log.exception("request.bug", path=request.path)
        problem = InternalError("Something went wrong in Gristmill; its log has more under this request id")
    if request.writer.output_size:
        raise ConnectionResetError("the answer had begun") from problem
    if status_and_title(problem)[0] >= 500:
        log.warning("request.failed", path=request.path, code=problem.code, detail=problem.detail)
    return problem_response(problem, instance=request.path, request_id=request[REQUEST_ID], headers=headers)


@web.middleware
async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out whose request it is, by its key.

    Without any key, let nothing in that a web page could have sent.
    """
    if request.path in _OPEN:
        return await handler(request)
    if _reserved(request):
        raise TooManyConnections(
            "This gateway, or this client's address, has as many connections as it may have; try again"
        )
    access = request.app[ACCESS]
    if await access.needs_key():
        request[TENANT] = await access.tenant(bearer(request.headers.getall("Authorization", [])))
    else:
        check_own_site(request.method, request.headers, request.app[SETTINGS].host)
        request[TENANT] = DEFAULT_TENANT
    return await handler(request)


async def put_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer, streams included."""
    response.headers.setdefault("X-Request-Id", request.get(REQUEST_ID) or new_id("req"))
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
