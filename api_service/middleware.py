"""The middlewares: each request gets an id and a log line, and each error is answered as a problem."""

import re
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from api_service.app_keys import REQUEST_ID
from api_service.problems import from_http_exception, problem_response, status_and_title
from shared.errors import BadRequest, GristmillError, InternalError
from shared.ids import new_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SANE_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
log = structlog.get_logger()


@web.middleware
async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, the caller's own if it is sane, and log one line when it is answered."""
    sent = request.headers.get("X-Request-Id", "")
    request[REQUEST_ID] = sent if _SANE_ID.fullmatch(sent) else new_id("req")
    started = time.perf_counter()
    with structlog.contextvars.bound_contextvars(request_id=request[REQUEST_ID]):
        response = await handler(request)
        if is_reserved(request):
            response.force_close()
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        polled = request.method in {"GET", "HEAD"} and response.status < 400
        (log.debug if polled else log.info)(
            "request", method=request.method, path=request.path, status=response.status, ms=milliseconds
        )
    return response


def is_reserved(request: web.Request) -> bool:
    """Whether its connection is one of those reserved for health checks (api_service.server)."""
    return getattr(request.protocol, "reserved", False)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem.

    When a stream has begun, it is too late for a problem: the connection is cut instead.
    """
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


async def put_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer has, streams included."""
    response.headers.setdefault("X-Request-Id", request.get(REQUEST_ID) or new_id("req"))
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
