"""`gristmill jobs`: the jobs of a service."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from gristmill.cli import codes, cures, output
from gristmill.cli.options import DocumentFormat, JobId, Output, Quiet, Service, Timeout, seconds
from gristmill.cli.service import connected
from gristmill.cli.waiting import end_of

if TYPE_CHECKING:
    from gristmill import Job

SHOWN_JOBS = 20
JobIds = Annotated[list[str], Argument(metavar="JOB...", help="Ids of jobs: job_…", show_default=False)]
State = Annotated[
    str | None, Option("--state", metavar="STATE", help="Jobs in this state, such as running or failed.")
]
Label = Annotated[
    list[str], Option("--label", metavar="KEY:VALUE", help="Jobs with this label. May be repeated.")
]
Named = Annotated[str | None, Option("--name", metavar="NAME", help="Jobs that publish this result.")]
Reading = Annotated[str | None, Option("--source", metavar="TEXT", help="Jobs with this text in a source.")]
After = Annotated[
    str | None, Option("--created-after", metavar="TIME", help="2026-01-31T12:00:00Z or later.")
]
Most = Annotated[int, Option("--limit", min=0, metavar="N", help="At most so many, the newest; 0 means all.")]

COLUMNS: output.Columns = {
    "job": lambda job: job["id"],
    "state": lambda job: job["state"] + (f" ({limit})" if (limit := job.get("waiting_for")) else ""),
    "done": lambda job: f"{job['progress']['fraction']:.0%}",
    "result": lambda job: job["result"]["name"] if job["result"] else None,
    "rows": lambda job: job["result"]["rows"] if job["result"] else None,
    "created": lambda job: job["timing"]["created_at"],
    "error": lambda job: job["error"]["code"] if job["error"] else None,
}


def ls(
    *,
    state: State = None,
    label: Label = [],  # noqa: B006  # typer makes a new one
    name: Named = None,
    source: Reading = None,
    created_after: After = None,
    limit: Most = SHOWN_JOBS,
    shape: Output = DocumentFormat.table,
    where: Service,
) -> None:
    """List jobs, newest first."""
    filters: Any = {
        "state": state,
        "label": label,
        "name": name,
        "source": source,
        "created_after": created_after,
    }
    with connected(where) as reached:
        jobs = reached.client.jobs(limit=limit or None, **filters)
        output.show_documents((job.document for job in jobs), shape, COLUMNS)


def show(job: JobId, *, shape: Output = DocumentFormat.table, where: Service) -> None:
    """Show a job: its state, counts, result, and error with its cure."""
    with connected(where) as reached:
        show_job(reached.client.job(job), shape)


def watch(
    job: JobId,
    *,
    timeout: Timeout = None,
    shape: Output = DocumentFormat.table,
    quiet: Quiet = False,
    where: Service,
) -> None:
    """Follow a job to its end; the exit code is 0 if it succeeded, 1 if not."""
    patience = seconds(timeout)
    with connected(where, quiet=quiet) as reached:
        found = reached.client.job(job)
        end_of(reached, found, patience, quiet=quiet)
        show_job(found, shape)
        if found.state != "succeeded":
            raise typer.Exit(codes.FAILED)


def cancel(jobs: JobIds, *, where: Service) -> None:
    """End jobs."""
    _change(jobs, "cancel", where)


def pause(jobs: JobIds, *, where: Service) -> None:
    """Hand out no more work of jobs; work under way finishes."""
    _change(jobs, "pause", where)


def resume(jobs: JobIds, *, where: Service) -> None:
    """Go on with paused jobs."""
    _change(jobs, "resume", where)


def retry(jobs: JobIds, *, where: Service) -> None:
    """Bring failed or cancelled jobs back; finished chunks stay finished."""
    _change(jobs, "retry", where)


def rm(jobs: JobIds, *, where: Service) -> None:
    """Delete jobs that are done, with the rows of those without a name."""
    with connected(where) as reached:
        for job in jobs:
            reached.client.job(job).delete()
            output.print_line(f"{job} deleted")


def receipt(job: JobId, *, shape: Output = DocumentFormat.table, where: Service) -> None:
    """Show the account of a job: its files, and where each row went."""
    with connected(where) as reached:
        found: Any = reached.client.job(job).receipt()
    lines = {
        "job": found["job"],
        "files": len(found["files"]),
        "bytes": found["bytes"],
        **{f"rows {name.replace('_', ' ')}": count for name, count in found["rows"].items()},
        "groups": found["groups"],
        "digest": found["result"]["digest"],
    }
    output.show_document(found, shape, lines)


def _change(jobs: Sequence[str], change: str, where: Service) -> None:
    with connected(where) as reached:
        for job in jobs:
            changed = getattr(reached.client.job(job), change)()
            output.print_line(f"{job} {changed.state}")


def show_job(job: "Job", shape: DocumentFormat) -> None:
    from gristmill.client.moments import waits_for

    document: Any = job.document
    progress, result, error = document["progress"], document["result"], document["error"]
    rows = {name: count for name, count in progress["rows"].items() if count}
    lines = {
        "job": job.id,
        "state": job.state,
        "phase": document["phase"] if not document["done"] else None,
        "waits for": waits_for(document),
        "done": f"{progress['fraction']:.0%}",
        "chunks": f"{progress['chunks']['done']} of {progress['chunks']['total']}",
        "rows": ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in rows.items()) or None,
        "created": document["timing"]["created_at"],
        "finished": document["timing"]["finished_at"],
        "result": f"{result['relation']}: {result['rows']:,} rows" if result else None,
        "digest": result["digest"] if result else None,
        "error": error["code"] if error else None,
    }
    output.show_document(document, shape, lines)
    if shape is DocumentFormat.table:
        for line in cures.lines(error) if error else ():
            output.print_line(f"  {line}")
        for warning in job.warnings:
            output.print_line(f"warning: {warning['detail']}")
