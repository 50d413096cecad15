"""Waiting for a job, and leaving it."""

from typing import TYPE_CHECKING

import typer

from gristmill.cli import codes
from gristmill.cli.service import Reached
from gristmill.cli.signals import Stopped
from gristmill.cli.talk import say

if TYPE_CHECKING:
    from gristmill import Job


def end_of(reached: Reached, job: "Job", patience: float | None, *, quiet: bool) -> None:
    """Wait for the end of a job, whatever it is; show progress unless *quiet*.

    Ctrl-C and a timeout leave the job alone, and say how to go on.
    """
    from gristmill import JobTimeout

    try:
        if not quiet and not job.document["done"]:
            say(f"{job.id} is under way.")
        job.wait(patience, progress=False if quiet else None)
    except JobTimeout as error:
        document = error.document
        _leave(reached, job, f"{job.id} is {document['state']} ({document['progress']['fraction']:.0%})")
        raise typer.Exit(codes.TIMEOUT) from error
    except Stopped:
        _leave(reached, job, job.id)
        raise


def _leave(reached: Reached, job: "Job", head: str) -> None:
    if reached.ends:
        say(f"{head} is ended with the embedded service.")
        return
    say(
        f"{head} goes on.",
        f"  Wait on:  {reached.command('jobs', 'watch', job.id)}",
        f"  End it:   {reached.command('jobs', 'cancel', job.id)}",
    )
