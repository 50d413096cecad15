"""`gristmill aggregate`, `submit` and `plan`: a question about files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from gristmill.cli import output, sources
from gristmill.cli.faults import told
from gristmill.cli.mistakes import Mistake
from gristmill.cli.options import (
    DocumentFormat,
    Files,
    Limit,
    OptionalFiles,
    Output,
    Question,
    Quiet,
    RowFormat,
    RowOutput,
    Service,
    Timeout,
    seconds,
)
from gristmill.cli.question import job_spec, spec_of
from gristmill.cli.rows import OrderBy, of_job, order, query_of, show_found
from gristmill.cli.service import Reached, connected, own
from gristmill.cli.talk import named, say
from gristmill.cli.waiting import end_of

if TYPE_CHECKING:
    from gristmill import Job

Keep = Annotated[
    bool, Option("--keep", help="Let the service that was started here go on, and say how to reach it.")
]
DataDir = Annotated[
    Path | None,
    Option(
        "--data-dir",
        metavar="DIR",
        file_okay=False,
        help="Folder of the service that --keep keeps; .gristmill unless given.",
        show_default=False,
    ),
]
ShowSpec = Annotated[bool, Option("--show-spec", help="Print the spec in JSON, and do nothing else.")]
Wait = Annotated[bool, Option("--wait", help="Wait for the end of the job.")]
KEPT_FOLDER = Path(".gristmill")
SHOWN_BAD_ROWS = 5


def aggregate(
    files: OptionalFiles = None,
    *,
    question: Question,
    order_by: OrderBy = None,
    limit: Limit = None,
    shape: RowOutput = RowFormat.table,
    timeout: Timeout = None,
    keep: Keep = False,
    data_dir: DataDir = None,
    show_spec: ShowSpec = False,
    quiet: Quiet = False,
    where: Service,
) -> None:
    """Aggregate files and print the groups.

    Without --url it starts a service of its own, and ends it. An example:

    \b
    gristmill aggregate orders.csv --by country --by month=ordered:1mo \
        --agg revenue=sum:price --agg n=count --where "status == 'paid'"
    """  # noqa: D301  # \b keeps the lines apart
    spec = job_spec(question)
    if show_spec:
        _print_spec(files, spec)
        return
    patience, kept = seconds(timeout), _kept(where, data_dir, keep=keep)
    names: sources.Names = {}
    with (
        told(question, names),
        _service(files, names, spec, where, kept, quiet=quiet) as (reached, given),
    ):
        job = reached.client.submit(given, spec=spec)
        end_of(reached, job, patience, quiet=quiet)
        found = of_job(job)
        if not quiet:
            _remark(reached, job, names)
        keys = order([_name(key) for key in (job.status().get("spec") or spec).get("group_by", [])])
        show_found(reached, found, query_of((), order_by or keys, None), shape, limit)


def submit(
    files: OptionalFiles = None,
    *,
    question: Question,
    wait: Wait = False,
    timeout: Timeout = None,
    show_spec: ShowSpec = False,
    shape: Output = DocumentFormat.table,
    quiet: Quiet = False,
    where: Service,
) -> None:
    """Store a job at a service and print its id."""
    spec = job_spec(question)
    if show_spec:
        _print_spec(files, spec)
        return
    patience = seconds(timeout)
    names: sources.Names = {}
    with told(question, names), connected(where, quiet=quiet) as reached:
        given: Any = sources.upload_all(_needed(files, spec), names, reached.client)
        job = reached.client.submit(given, spec=spec)
        if shape is DocumentFormat.table:
            output.print_line(job.id)
        if wait:
            end_of(reached, job, patience, quiet=quiet)
            job.result()
        elif not quiet:
            say(f"Follow it with: {reached.command('jobs', 'watch', job.id)}")
        if shape is not DocumentFormat.table:
            output.show_document(job.document, shape, {})


def plan(
    files: OptionalFiles = None,
    *,
    question: Question,
    shape: Output = DocumentFormat.table,
    show_spec: ShowSpec = False,
    quiet: Quiet = False,
    where: Service,
) -> None:
    """Show the columns, types and first rows of files.

    It runs no job. With keys and aggregates it also says how many groups they will give.
    """
    from gristmill.cli.planned import show_plan

    spec = spec_of(question)
    if show_spec:
        _print_spec(files, spec)
        return
    names: sources.Names = {}
    with (
        told(question, names),
        _service(files, names, spec, where, None, quiet=quiet) as (reached, given),
    ):
        show_plan(reached.client.plan(given, spec=spec or {"source": {}}), shape, names)


@contextmanager
def _service(
    files: Files | None,
    names: sources.Names,
    spec: Mapping[str, Any],
    where: Service,
    kept: Path | None,
    *,
    quiet: bool,
) -> Iterator[tuple[Reached, Any]]:
    """The service and the sources for it: the named one, or an embedded one. Fills *names*."""
    if where.url:
        with connected(where, quiet=quiet) as reached:
            yield reached, sources.upload_all(_needed(files, spec), names, reached.client)
        return
    given, folders = sources.read_here(_needed(files, spec), names)
    with own(folders, kept, quiet=quiet) as reached:
        yield reached, given


def _kept(where: Service, data_dir: Path | None, *, keep: bool) -> Path | None:
    """The folder of an embedded service that goes on; None for one that does not."""
    if data_dir and not keep:
        raise Mistake(f"--data-dir {data_dir} is for a service that goes on: give --keep too")
    if keep and where.url:
        raise Mistake(f"--keep is for a service that is started here, and {where.url} is named")
    return (data_dir or KEPT_FOLDER) if keep else None


def _needed(files: Files | None, spec: Mapping[str, Any]) -> Sequence[str]:
    """The files, or those of the spec."""
    given = (spec.get("source") or {}).get("uris") or []
    if not files and not given:
        raise Mistake(
            "no FILES: name the files to read, such as orders.csv, or 'data/*.csv', or - for standard input"
        )
    return files or given


def _print_spec(files: Files | None, spec: dict[str, Any]) -> None:
    shown = {"source": {"uris": list(files or [])}} | spec
    if files:
        shown["source"] = {"uris": list(files)} | {
            key: value for key, value in shown["source"].items() if key != "uris"
        }
    output.print_line(json.dumps(shown, ensure_ascii=False, indent=2))


def _name(key: Any) -> str:
    return key if isinstance(key, str) else key.get("as") or key["column"]


def _remark(reached: Reached, job: "Job", names: sources.Names) -> None:
    """The warnings, the account of the rows, and the first bad rows."""
    for warning in job.warnings:
        say(named(f"Warning: {warning['detail']}", names))
    counts = job.document["progress"]["rows"]
    left_out = {
        "filtered": counts["filtered"],
        "without a key": counts["dropped_null_key"],
        "skipped as bad": counts["skipped"],
        "kept aside as bad": counts["quarantined"],
    }
    parts = [f"{count:,} {name}" for name, count in left_out.items() if count]
    result = job.document["result"]
    groups = result["rows"] if result else 0
    say(f"{counts['read']:,} rows, {groups:,} groups" + "".join(f", {part}" for part in parts))
    if counts["quarantined"]:
        for bad in job.bad_rows(limit=SHOWN_BAD_ROWS):
            place = f"line {bad['line']}" if bad["line"] is not None else f"byte {bad['byte']}"
            file = named(bad["uri"], names)
            say(f"  {file}: {place}: {bad['reason']}: {(bad['text'] or '').rstrip()[:200]}")
        if counts["quarantined"] > SHOWN_BAD_ROWS or not reached.ends:
            cure = "--keep keeps them" if reached.ends else reached.command("bad-rows", job.id)
            say(f"  All of them: {cure}")
