"""Errors of pages: a page with the same facts as a problem, or the form to sign in."""

from urllib.parse import quote

from aiohttp import web

from api_service.app_keys import PAGE_HANDLERS
from api_service.dashboard.rendering import page, see_other
from api_service.problems import RETRY_SECONDS, status_and_title
from shared.errors import GristmillError, NotFound, Unauthorized


def is_page(request: web.Request, problem: GristmillError) -> bool:
    """Whether a person is to read the error: on a page, or at a path without anything."""
    if request.match_info.handler in request.app[PAGE_HANDLERS]:
        return True
    lost = isinstance(problem, NotFound) and request.match_info.http_exception is not None
    return lost and not request.path.startswith("/v1/") and "text/html" in request.headers.get("Accept", "")


def problem_page(request: web.Request, problem: GristmillError) -> web.Response:
    if isinstance(problem, Unauthorized):
        onward = request.rel_url.raw_path_qs if request.method == "GET" else "/"
        return see_other(request, f"/sign-in?next={quote(onward, safe='')}")
    status, title = status_and_title(problem)
    response = page(
        request, "problem.html", status=status, title=title, problem=problem.problem(), code=status
    )
    if problem.retryable:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response
