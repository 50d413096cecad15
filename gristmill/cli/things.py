"""`gristmill results`, `uploads`, `bad-rows`, `workers` and `keys`: the other things of a service."""

from typing import Annotated, Any

from typer import Argument, Option

from gristmill.cli import output
from gristmill.cli.options import (
    DocumentFormat,
    JobId,
    Limit,
    Output,
    Quiet,
    RowFormat,
    Service,
    TextFormat,
    TextOutput,
)
from gristmill.cli.service import connected
from gristmill.cli.sources import one_file
from gristmill.cli.talk import say

Name = Annotated[str, Argument(metavar="NAME", help="The name of a result.", show_default=False)]
File = Annotated[str, Argument(metavar="FILE", help="A file, or - for standard input.", show_default=False)]
Resume = Annotated[
    str | None, Option("--resume", metavar="ID", help="Go on with an upload that broke off: upl_…")
]
UploadIds = Annotated[list[str], Argument(metavar="ID...", help="Ids of uploads: upl_…", show_default=False)]
WorkerId = Annotated[str, Argument(metavar="ID", help="The id of a worker: wrk_…", show_default=False)]
KeyId = Annotated[str, Argument(metavar="ID", help="The id of a key: key_…", show_default=False)]
KeyName = Annotated[str, Option("--name", metavar="NAME", help="A name for people.")]
Scopes = Annotated[
    list[str],
    Option(
        "--scope", metavar="SCOPE", help="read, upload, submit or admin. May be repeated.", show_default=False
    ),
]
Expires = Annotated[str | None, Option("--expires", metavar="TIME", help="Its end: 15m, 1d; none for ever.")]
OneJob = Annotated[str | None, Option("--job", metavar="JOB", help="For this job only.")]

RESULTS: output.Columns = {
    "name": lambda one: one["name"],
    "version": lambda one: one["version"],
    "rows": lambda one: one["rows"],
    "columns": lambda one: [column["name"] for column in one["columns"]],
    "published": lambda one: one.get("published_at"),
    "relation": lambda one: one["relation"],
}
UPLOADS: output.Columns = {
    "upload": lambda one: one["uri"],
    "file": lambda one: one["filename"],
    "bytes": lambda one: one["bytes"],
    "stored": lambda one: one.get("offset", one["bytes"]),
    "created": lambda one: one["created_at"],
}
WORKERS: output.Columns = {
    "worker": lambda one: one["id"],
    "state": lambda one: one["state"],
    "host": lambda one: one["host"],
    "pid": lambda one: str(one["pid"]),
    "version": lambda one: one["version"],
    "slots": lambda one: one["slots"],
    "busy": lambda one: len(one["units"]),
    "cores": lambda one: one["usage"]["cpu_cores"],
    "memory": lambda one: one["usage"]["rss_bytes"],
    "silent ms": lambda one: one["silent_ms"],
}
KEYS: output.Columns = {
    "key": lambda one: one["id"],
    "name": lambda one: one["name"],
    "scopes": lambda one: one["scopes"],
    "job": lambda one: one["job"],
    "created": lambda one: one["created_at"],
    "expires": lambda one: one["expires_at"],
    "last used": lambda one: one["last_used_at"],
    "revoked": lambda one: one["revoked_at"],
}
BAD_ROWS = ("uri", "line", "byte", "column", "reason", "text")


def results_ls(*, limit: Limit = None, shape: Output = DocumentFormat.table, where: Service) -> None:
    """List the named results, each in its current version."""
    with connected(where) as reached:
        found = reached.client.results(limit=limit or None)
        output.show_documents((one.document for one in found), shape, RESULTS)


def results_show(name: Name, *, shape: Output = DocumentFormat.table, where: Service) -> None:
    """Show a named result: its version, table and columns."""
    with connected(where) as reached:
        found: Any = reached.client.result(name).document
    columns = [f"{column['name']} {column['type']}" for column in found["columns"]]
    lines = {key: make(found) for key, make in RESULTS.items()}
    lines |= {"columns": columns, "digest": found["digest"]}
    output.show_document(found, shape, lines)


def uploads_ls(*, limit: Limit = None, shape: Output = DocumentFormat.table, where: Service) -> None:
    """List the uploads, newest first."""
    with connected(where) as reached:
        output.show_documents(reached.client.uploads(limit=limit or None), shape, UPLOADS)


def uploads_add(
    file: File,
    *,
    resume: Resume = None,
    shape: Output = DocumentFormat.table,
    quiet: Quiet = False,
    where: Service,
) -> None:
    """Upload a file and print its URI, which any number of jobs can name."""
    with connected(where, quiet=quiet) as reached:
        stored: Any = reached.client.upload(one_file(file), resume=resume)
        if shape is DocumentFormat.table:
            output.print_line(stored["uri"])
        else:
            output.show_document(stored, shape, {})


def uploads_rm(uploads: UploadIds, *, where: Service) -> None:
    """Delete uploads."""
    with connected(where) as reached:
        for upload in uploads:
            reached.client.delete_upload(upload.removeprefix("upload:"))
            output.print_line(f"{upload} deleted")


def bad_rows(
    job: JobId, *, limit: Limit = None, shape: TextOutput = TextFormat.table, where: Service
) -> None:
    """Print the bad rows that a job keeps aside, and why.

    A job keeps them with --on-bad-row quarantine.
    """
    with connected(where) as reached:
        found = reached.client.job(job)
        error = found.document["error"]
        if error and error["code"] == "bad_row":
            say(f"{job} failed with a bad row, which is shown by: {reached.command('jobs', 'show', job)}")
        if shape in {TextFormat.csv, TextFormat.ndjson} and limit is None:
            output.show_rows(lambda kind, _: found.stream_bad_rows(kind), RowFormat(shape), None, {})
            return
        most = output.TABLE_ROWS if limit is None and shape is TextFormat.table else limit or None
        rows: list[Any] = list(found.bad_rows(limit=most))
    if shape is TextFormat.table:
        cells = ([output.cell(row[name]) for name in BAD_ROWS] for row in rows)
        output.show_table(BAD_ROWS, cells, {"line", "byte"})
        if len(rows) == most:
            say(f"The first {most} bad rows; --limit 0 shows all, and --output csv writes them for programs.")
    else:
        output.show_documents(rows, DocumentFormat(shape), {})


def workers_ls(*, shape: Output = DocumentFormat.table, where: Service) -> None:
    """List the workers."""
    with connected(where) as reached:
        output.show_documents(reached.client.workers(), shape, WORKERS)


def workers_drain(worker: WorkerId, *, where: Service) -> None:
    """Ask a worker to finish its work and end."""
    with connected(where) as reached:
        output.print_line(f"{worker} {reached.client.drain(worker)['state']}")


def keys_ls(*, shape: Output = DocumentFormat.table, where: Service) -> None:
    """List the API keys, newest first, without their texts."""
    with connected(where) as reached:
        output.show_documents(reached.client.keys(), shape, KEYS)


def keys_add(
    *,
    scope: Scopes,
    name: KeyName = "",
    expires: Expires = None,
    job: OneJob = None,
    shape: Output = DocumentFormat.table,
    where: Service,
) -> None:
    """Make an API key and print its text, only this once."""
    with connected(where) as reached:
        made: Any = reached.client.create_key(scope, name=name, expires=expires, job=job)
    if shape is DocumentFormat.table:
        output.print_line(made["key"])
        say(f"{made['id']} with {', '.join(made['scopes'])}. The text is shown only this once.")
    else:
        output.show_document(made, shape, {})


def keys_revoke(key: KeyId, *, where: Service) -> None:
    """End an API key, and those that it made."""
    with connected(where) as reached:
        reached.client.revoke_key(key)
        output.print_line(f"{key} revoked")
