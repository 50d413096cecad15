"""Errors of pages: a page with the same facts as a problem, or the form to sign in."""

from urllib.parse import quote

from aiohttp import web

from api_service.app_keys import PAGE_HANDLERS
from api_service.dashboard.rendering import page, see_other
from api_service.problems import RETRY_SECONDS, status_and_title
from shared.errors import GristmillError, NotFound, Unauthorized

_INTO_NOTICE = {"HX-Retarget": "#told", "HX-Reselect": "[role=alert]", "HX-Reswap": "innerHTML"}
"""Where htmx puts the notice, wherever it would have put the answer: the form that it has sent stays."""


def is_page(request: web.Request, problem: GristmillError) -> bool:
    """Whether a person is to read the error: on a page, or at a path without anything."""
    if request.match_info.handler in request.app[PAGE_HANDLERS]:
        return True
    lost = isinstance(problem, NotFound) and request.match_info.http_exception is not None
    return lost and not request.path.startswith("/v1/") and "text/html" in request.headers.get("Accept", "")


def problem_page(request: web.Request, problem: GristmillError) -> web.Response:
    if isinstance(problem, Unauthorized):
        return _sign_in(request)
    status, title = status_and_title(problem)
    again = request.path_qs if request.method == "GET" else None
    response = page(
        request,
        "problem.html",
        status=status,
        title=title,
        problem=problem.problem(),
        code=status,
        again=again,
    )
    if "HX-Request" in request.headers and request.method == "POST":
        response.headers.update(_INTO_NOTICE)
    if problem.retryable:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _sign_in(request: web.Request) -> web.Response:
    """The way to the form to sign in; a script would take the form for the part of a page that it asked for.

    htmx loads the whole page again. A form that it has sent stays as it is, with a notice. Other scripts that
    follow a stream get no page at all.
    """
    if "HX-Request" not in request.headers:
        if "text/event-stream" in request.headers.get("Accept", ""):
            return web.Response(status=401)
        onward = request.rel_url.raw_path_qs if request.method == "GET" else "/"
        return see_other(request, f"/sign-in?next={quote(onward, safe='')}")
    if request.method == "GET":
        return web.Response(status=401, headers={"HX-Refresh": "true"})
    response = page(request, "signed_out.html", status=401)
    response.headers.update(_INTO_NOTICE)
    return response
