"""The middlewares: each request gets an id and a log line, and each error is answered as a problem."""

import logging
import re
import time
from contextvars import ContextVar
from functools import cache

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware
from aiohttp.web_protocol import RequestPayloadError
from multidict import istr
from prometheus_client import Counter, Histogram

from api_service.app_keys import CLIENT, JOB, LINKS, QUOTA, REQUEST_ID
from api_service.auth.forwarded import client_of
from api_service.dashboard.problem import is_page, problem_page
from api_service.operations import Handler
from api_service.problems import from_http_exception, problem_response, quota_headers, status_and_title
from shared import tracing
from shared.errors import BadRequest, GristmillError, InternalError
from shared.ids import numbered_ids
from shared.metrics import HTTP_REQUESTS, HTTP_SECONDS
from shared.settings import Settings

TRACEPARENT = istr(tracing.TRACEPARENT)
X_REQUEST_ID, X_CONTENT_TYPE_OPTIONS = istr("X-Request-Id"), istr("X-Content-Type-Options")
CACHE_CONTROL = istr("Cache-Control")
READS = frozenset({"GET", "HEAD"})
REQUEST_IDS = numbered_ids("req")
_SANE_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_BOUND_ID = ContextVar[str](f"{structlog.contextvars.STRUCTLOG_KEY_PREFIX}request_id")
"""As `bind_contextvars` would make it, which takes ten times as long: each request binds its id."""
log = structlog.get_logger()


def logging_requests(settings: Settings) -> Middleware:
    """The middleware that gives each request an id, and logs one line when it is answered.

    The id is the caller's own if it is sane. The line has the client's address, as the connection or a
    trusted proxy tells it. A request that only reads has its line at level debug.
    """
    trusted, least = settings.trusted_proxies, logging.getLevelNamesMapping()[settings.log_level.upper()]

    @web.middleware
    async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        sent = request.headers.get(X_REQUEST_ID)
        request_id = request[REQUEST_ID] = sent if sent and _SANE_ID.fullmatch(sent) else next(REQUEST_IDS)
        client = request[CLIENT] = client_of(request.remote or "", request.headers, trusted)
        started, status = time.perf_counter(), "cut"
        before = _BOUND_ID.set(request_id)
        tracing.follow(tracing.joined(request.headers.get(TRACEPARENT)))
        method, route = _route(request)
        try:
            with tracing.span(f"{method} {route}", "SERVER", {"url.path": request.path}) as span:
                response = await handler(request)
                span.set_attribute("http.response.status_code", response.status)
            status = str(response.status)
            if is_reserved(request):
                response.force_close()
            level = logging.DEBUG if request.method in READS and response.status < 400 else logging.INFO
            if level >= least:
                log.log(
                    level,
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status,
                    ms=round((time.perf_counter() - started) * 1000, 1),
                    client=client.address,
                    scheme=client.scheme,
                    **_job(request, route),
                )
        finally:
            _requests(method, route, status).inc()
            _seconds(method, route).observe(time.perf_counter() - started)
            tracing.follow(None)
            _BOUND_ID.reset(before)
        return response

    return log_request


@cache  # a look-up of labels costs more than the count
def _requests(method: str, route: str, status: str) -> Counter:
    return HTTP_REQUESTS.labels(method, route, status)


@cache
def _seconds(method: str, route: str) -> Histogram:
    return HTTP_SECONDS.labels(method, route)


def _route(request: web.Request) -> tuple[str, str]:
    """The method and the template of the path. All requests without a route are one."""
    resource = request.match_info.route.resource
    return (request.method, resource.canonical) if resource else ("any", "none")


def _job(request: web.Request, route: str) -> dict[str, str]:
    """The job that a request was about, or has made."""
    job = request.match_info["id"] if route.startswith("/v1/jobs/{id}") else request.get(JOB)
    return {"job": job} if job else {}


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
        log.info("request.cut", method=request.method, path=request.path, error=str(error))
        raise
    except Exception:
        log.exception("request.bug", path=request.path)
        problem = InternalError("Something went wrong in Gristmill; its log has more under this request id")
    if request.writer.output_size:
        raise ConnectionResetError("the answer had begun") from problem
    if status_and_title(problem)[0] >= 500:
        log.warning("request.failed", path=request.path, code=problem.code, error=problem.detail)
    if is_page(request, problem):
        return problem_page(request, problem)
    return problem_response(
        problem, instance=request.app[LINKS](request.path), request_id=request[REQUEST_ID], headers=headers
    )


async def put_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer has, streams included."""
    headers = response.headers
    headers[X_REQUEST_ID] = request.get(REQUEST_ID) or next(REQUEST_IDS)
    headers[X_CONTENT_TYPE_OPTIONS] = "nosniff"
    headers.setdefault(CACHE_CONTROL, "no-store")
    if (quota := request.get(QUOTA)) is not None and "RateLimit" not in headers:
        headers.update(quota_headers(quota))
