"""One request: its retries, and the exceptions of its failures."""

import logging
import random
from json import JSONDecodeError

import httpx2

from gristmill.client.errors import ProblemError, Unreachable
from gristmill.client.steps import Open, Request, Send, Sleep, Steps

RETRIES = 4
"""How often a request is sent again that may be."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
LONGEST_ORDERED_PAUSE = 60.0
"""The most of a `Retry-After` that is waited for; an error that orders more is raised."""
PASSING = {429, 502, 503, 504}
"""Statuses of answers that may be another one soon."""
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""Failures before any byte of the request was sent."""
SHOWN_CHARACTERS = 500
TOLD_SECONDS = 1.0
"""So long a pause is told in a line of the logger `gristmill`."""
_logger = logging.getLogger("gristmill")


def ask(request: Request) -> Steps[httpx2.Response]:
    """The answer of the service; a request that may be sent again is, after a pause.

    Raises ProblemError for an error, Unreachable if no answer came.
    """
    return (yield from _trying(Send(request), request))


def opened(request: Request) -> Steps[httpx2.Response]:
    """As `ask`, for an answer whose body is read by NextBytes or NextEvent."""
    return (yield from _trying(Open(request), request))


def _trying(step: Send | Open, request: Request) -> Steps[httpx2.Response]:
    attempt, is_lost = 0, False
    while True:
        last = attempt == RETRIES
        try:
            answer: httpx2.Response = yield step
        except httpx2.TransportError as error:
            if last or not (request.safe or isinstance(error, UNSENT)):
                raise unreachable(request, error) from None
            is_lost = True
            yield rest(unreachable(request, error), attempt, pause(attempt))
        else:
            if answer.status_code < 400 or (is_lost and _is_deleted(request, answer)):
                return answer
            problem = problem_of(answer)
            if last or not request.safe or not _passes(problem):
                raise problem
            yield rest(problem, attempt, max(pause(attempt), problem.retry_after or 0.0))
        attempt += 1


def rest(failure: ProblemError | Unreachable, attempt: int, seconds: float) -> Sleep:
    """The pause after a failure; a long one is told. The first *attempt* is 0."""
    if seconds >= TOLD_SECONDS:
        said = failure.summary if isinstance(failure, ProblemError) else failure
        _logger.warning("%s. Trying again in %.0f s (%d of %d)", said, seconds, attempt + 1, RETRIES)
    return Sleep(seconds)


def _passes(problem: ProblemError) -> bool:
    """Whether another answer may come soon.

    A limit may be one that only a deletion helps with (429 without `retryable`), or that of a day.
    """
    limited = problem.status == httpx2.codes.TOO_MANY_REQUESTS and problem.code and not problem.retryable
    return problem.status in PASSING and not limited and (problem.retry_after or 0.0) <= LONGEST_ORDERED_PAUSE


def _is_deleted(request: Request, answer: httpx2.Response) -> bool:
    """Whether a deletion, of which an answer was lost, has been done."""
    return request.method == "DELETE" and answer.status_code == httpx2.codes.NOT_FOUND


def pause(attempt: int) -> float:
    """Seconds before another attempt: twice as many each time, less up to a half by chance."""
    most = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(attempt, 16)))
    return most * random.uniform(0.5, 1.0)  # noqa: S311  # no secret


def problem_of(answer: httpx2.Response) -> ProblemError:
    """The exception of an answer. The text of a proxy, which is no problem document, becomes the detail."""
    try:
        problem = answer.json()
    except (JSONDecodeError, UnicodeDecodeError):
        problem = None
    if not isinstance(problem, dict):
        text = answer.text[:SHOWN_CHARACTERS].strip()
        problem = {"title": answer.reason_phrase, "detail": text or "the answer has no body"}
    problem.setdefault("request_id", answer.headers.get("X-Request-Id"))
    ordered = answer.headers.get("Retry-After", "")
    return ProblemError.of(answer.status_code, problem, float(ordered) if ordered.isdigit() else None)


def unreachable(request: Request, error: httpx2.TransportError) -> Unreachable:
    try:
        url = str(error.request.url.copy_with(query=None, username=None, password=None))
    except RuntimeError:  # it was raised without a request
        url = request.path
    return Unreachable(request.method, url, str(error) or type(error).__name__)
