"""Exceptions as a message and an exit code: place, value and cure, and no traceback for a user's mistake."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import typer

from gristmill.cli import codes, cures
from gristmill.cli.embedded import NotStarted
from gristmill.cli.mistakes import Mistake, Refused
from gristmill.cli.options import Question
from gristmill.cli.service import Unreached
from gristmill.cli.signals import Stopped
from gristmill.cli.talk import named, say

OURS = 500
"""From this status on a fault is the service's; its log has the request."""


@contextmanager
def told(question: Question | None = None, names: Mapping[str, str] | None = None) -> Iterator[None]:
    """End the command with a message and an exit code for each exception that is no bug.

    Places of a spec are shown as options of *question*, and the URIs of *names* as the names there.
    """
    try:
        yield
    except BrokenPipeError as error:
        # Python flushes standard output once more at its end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(codes.CLOSED_PIPE) from error
    except Stopped as error:
        raise typer.Exit(codes.INTERRUPTED) from error
    except Exception as error:
        found = _known(error, question)
        if found is None:
            raise
        code, lines = found
        say(*(named(line, names or {}) for line in lines))
        raise typer.Exit(code) from error


def _known(error: Exception, question: Question | None) -> tuple[int, Sequence[str]] | None:
    """None for an exception that is a bug."""
    rooms = {kind.__module__ for kind in type(error).__mro__}
    if "gristmill.client.errors" in rooms:
        return _of_client(error, question)
    kinds = {
        Mistake: codes.USAGE,
        Unreached: codes.UNREACHABLE,
        Refused: codes.FAILED,
        NotStarted: codes.FAILED,
        OSError: codes.FAILED,
    }
    code = next((code for kind, code in kinds.items() if isinstance(error, kind)), None)
    if code is None and "gristmill.launcher.processes" in rooms:
        code = codes.FAILED
    return None if code is None else (code, [str(error)])


def _of_client(error: Exception, question: Question | None) -> tuple[int, Sequence[str]]:
    from gristmill.client import errors

    code, lines = codes.FAILED, [str(error)]
    match error:
        case errors.JobFailed():
            told = cures.lines(error.problem, question)
            lines = [f"{error.job_id} failed: {error.code}", *(f"  {line}" for line in told)]
        case errors.JobCancelled():
            cure = f"`gristmill jobs retry {error.job_id}` brings it back within 24 hours"
            lines = [f"{error.job_id} was cancelled; {cure}"]
        case errors.UploadInterrupted():
            because = f" ({error.reason})" if error.reason else ""
            lines = [
                f"An upload broke off{because}: {error.stored:,} bytes are stored for a day. Go on with:",
                f"  gristmill uploads add FILE --resume {error.upload_id}",
            ]
        case errors.InvalidRequest():
            problem = {"detail": error.detail, "errors": error.errors, "code": error.code}
            code, lines = codes.USAGE, cures.lines(problem, question)
        case errors.Unauthorized():
            lines = [f"{error.detail}; put a key into GRISTMILL_API_KEY, or give --api-key"]
        case errors.ProblemError() if not error.code and error.status < OURS:
            cure = "name a gateway with --url or GRISTMILL_URL"
            code, lines = codes.UNREACHABLE, [f"The answer is {error.status}, and not Gristmill's: {cure}"]
        case errors.ProblemError():
            request = f" (request {error.request_id})" if error.status >= OURS and error.request_id else ""
            lines = [f"{error.detail or error.title} [{error.status} {error.code}]{request}"]
        case errors.Unreachable():
            code, lines = codes.UNREACHABLE, [str(Unreached(error.url, error.reason))]
        case _:
            pass
    return code, lines
