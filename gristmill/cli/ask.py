"""`gristmill aggregate`, `submit` and `plan`: a question about files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Exit, Option

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
from gristmill.cli.rows import OrderBy, order, show_result
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
    spec = _or_shown(job_spec(question), files, show_spec=show_spec)
    patience, kept = seconds(timeout), _kept(where, data_dir, keep=keep)
    with _asked(files, question, spec, where, kept=kept, quiet=quiet) as asked:
        job = asked.reached.client.submit(asked.given, spec=spec)
        end_of(asked.reached, job, patience, quiet=quiet)
        result = job.result(progress=False)
        if not quiet:
            _remark(asked, job)
        keys = order([_name(key) for key in (job.status().get("spec") or spec).get("group_by", [])])
        show_result(result, shape, limit, order_by=order_by or keys, quiet=quiet)


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
    spec = _or_shown(job_spec(question), files, show_spec=show_spec)
    patience = seconds(timeout)
    with _asked(files, question, spec, where, embeds=False, quiet=quiet) as asked:
        job = asked.reached.client.submit(asked.given, spec=spec)
        if shape is DocumentFormat.table:
            output.print_line(job.id)
        if wait:
            end_of(asked.reached, job, patience, quiet=quiet)
            job.result()
        elif not quiet:
            say(f"Follow it with: {asked.reached.command('jobs', 'watch', job.id)}")
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

    spec = _or_shown(spec_of(question), files, show_spec=show_spec)
    with _asked(files, question, spec, where, quiet=quiet) as asked:
        show_plan(asked.reached.client.plan(asked.given, spec=spec or {"source": {}}), shape, asked.names)


def _or_shown(spec: dict[str, Any], files: Files | None, *, show_spec: bool) -> dict[str, Any]:
    """The spec; with --show-spec it is printed with its files, and the command ends."""
    if not show_spec:
        return spec
    given = spec.get("source") or {}
    uris = {"uris": list(files or given.get("uris") or [])}
    source = {"source": uris | given | uris}  # the files come first
    output.print_line(output.as_json(source | spec | source, indent=2))
    raise Exit


@dataclass(frozen=True, slots=True)
class Asked:
    """An open service, and the sources of a question there; `names` are those that the user gave."""

    reached: Reached
    given: Any
    names: sources.Names


@contextmanager
def _asked(
    files: Files | None,
    question: Question,
    spec: Mapping[str, Any],
    where: Service,
    *,
    kept: Path | None = None,
    embeds: bool = True,
    quiet: bool,
) -> Iterator[Asked]:
    """The named service; else an embedded one, or the one at the default address.

    Failures are told in the words of *question*.
    """
    names: sources.Names = {}
    with told(question, names), ExitStack() as ends:
        needed = _needed(files, spec)
        if where.url or not embeds:
            reached = ends.enter_context(connected(where, quiet=quiet))
            given = sources.upload_all(needed, names, reached.client)
        else:
            given, folders = sources.read_here(needed, names)
            reached = ends.enter_context(own(folders, kept, quiet=quiet))
        yield Asked(reached, given, names)


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


def _name(key: Any) -> str:
    return key if isinstance(key, str) else key.get("as") or key["column"]


def _remark(asked: Asked, job: "Job") -> None:
    """The warnings, the account of the rows, and the first bad rows."""
    for warning in job.warnings:
        say(named(f"Warning: {warning['detail']}", asked.names))
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
            file = named(bad["uri"], asked.names)
            say(f"  {file}: {place}: {bad['reason']}: {(bad['text'] or '').rstrip()[:200]}")
        if counts["quarantined"] > SHOWN_BAD_ROWS or not asked.reached.ends:
            cure = "--keep keeps them" if asked.reached.ends else asked.reached.command("bad-rows", job.id)
            say(f"  All of them: {cure}")
