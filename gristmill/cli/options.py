"""The options that several commands have."""

import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from typer import Argument, Option

from gristmill.cli.mistakes import Mistake

Files = Annotated[
    list[str],
    Argument(
        metavar="FILES...",
        help="Files, patterns such as 'data/*.csv', `-` for standard input, or URIs that the service reads.",
        show_default=False,
    ),
]
OptionalFiles = Annotated[
    list[str] | None,
    Argument(
        metavar="FILES",
        help="Files, patterns such as 'data/*.csv', - for standard input, or URIs that the service reads.",
        show_default=False,
    ),
]
JobId = Annotated[str, Argument(metavar="JOB", help="The id of a job: job_…", show_default=False)]
Target = Annotated[
    str, Argument(metavar="NAME|JOB", help="The name of a result, or the id of a job.", show_default=False)
]
Timeout = Annotated[
    str | None,
    Option(
        "--timeout",
        metavar="TIME",
        help="Wait at most so long, such as 90s, 10m or 2h; then the exit code is 124.",
    ),
]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress and no remarks on standard error.")]
Limit = Annotated[int | None, Option("--limit", min=0, metavar="N", help="At most so many; 0 means all.")]


class RowFormat(StrEnum):
    """Formats of rows; `json` is an array of objects."""

    table = "table"
    json = "json"
    csv = "csv"
    ndjson = "ndjson"
    parquet = "parquet"


class TextFormat(StrEnum):
    """Formats of bad rows."""

    table = "table"
    json = "json"
    csv = "csv"
    ndjson = "ndjson"


class DocumentFormat(StrEnum):
    """Formats of documents; `json` is the document as HTTP has it, or an array of such."""

    table = "table"
    json = "json"
    ndjson = "ndjson"


def _readable(shape: RowFormat) -> RowFormat:
    """Refuse bytes on a terminal, before any work is done."""
    if shape is RowFormat.parquet and sys.stdout.isatty():
        raise Mistake(
            "Parquet is no text: write it to a file with > FILE.parquet, or use `gristmill download`"
        )
    return shape


RowOutput = Annotated[
    RowFormat, Option("--output", "-o", callback=_readable, help="The format of standard output.")
]
TextOutput = Annotated[TextFormat, Option("--output", "-o", help="The format of standard output.")]
Output = Annotated[DocumentFormat, Option("--output", "-o", help="The format of standard output.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where the service is, and the key for it."""

    url: Annotated[
        str | None,
        Option(
            "--url",
            envvar="GRISTMILL_URL",
            metavar="URL",
            help="Where the service answers.",
            show_default=False,
        ),
    ] = None
    api_key: Annotated[
        str | None,
        Option(
            "--api-key",
            envvar="GRISTMILL_API_KEY",
            metavar="KEY",
            help="A key, if the service needs one. Other users can see it here: prefer the variable.",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The parts of a spec, as the command line has them (`gristmill.cli.question`)."""

    by: Annotated[
        list[str],
        Option(
            "--by",
            metavar="KEY",
            help="A column to group by, or [NAME=]COLUMN:WIDTH for a time bucket: month=ordered:1mo. "
            "May be repeated.",
        ),
    ] = field(default_factory=list)
    agg: Annotated[
        list[str],
        Option(
            "--agg",
            metavar="AGGREGATE",
            help="[NAME=]FUNCTION[:COLUMN[:PARAMETER]]: n=count, revenue=sum:price, p90=quantile:price:0.9. "
            "With ' where EXPRESSION' behind it, of some rows only. May be repeated.",
        ),
    ] = field(default_factory=list)
    where: Annotated[
        str | None,
        Option(
            "--where",
            metavar="EXPRESSION",
            help="Keep the rows where this is true: \"status == 'paid'\".",
        ),
    ] = None
    type: Annotated[
        list[str],
        Option(
            "--type",
            metavar="COLUMN=TYPE",
            help="The type of a column: price=decimal(18,2), day=date:%d/%m/%Y. May be repeated.",
        ),
    ] = field(default_factory=list)
    types: Annotated[
        list[str],
        Option(
            "--types",
            metavar="JSON",
            help="Entries of source.types, as messages propose them; @FILE reads them from a file.",
        ),
    ] = field(default_factory=list)
    derive: Annotated[
        list[str],
        Option(
            "--derive",
            metavar="NAME=EXPRESSION",
            help="A new column of the data: 'net=price - fee'. May be repeated.",
        ),
    ] = field(default_factory=list)
    compute: Annotated[
        list[str],
        Option(
            "--compute",
            metavar="NAME=EXPRESSION",
            help="A new column of the result: 'share=paid / n'. May be repeated.",
        ),
    ] = field(default_factory=list)
    having: Annotated[
        str | None,
        Option(
            "--having",
            metavar="EXPRESSION",
            help="Keep the groups where this is true.",
        ),
    ] = None
    on_bad_row: Annotated[
        str | None,
        Option(
            "--on-bad-row",
            metavar="fail|quarantine|skip",
            help="The treatment of rows that cannot be read; fail unless given.",
        ),
    ] = None
    name: Annotated[
        str | None,
        Option(
            "--name",
            metavar="NAME",
            help="Publish the result as the table results.NAME.",
        ),
    ] = None
    set: Annotated[
        list[str],
        Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other key of the spec: csv.skip_rows=1, options.priority=9. May be repeated.",
        ),
    ] = field(default_factory=list)
    spec: Annotated[
        str | None,
        Option(
            "--spec",
            metavar="FILE",
            help="A whole spec in JSON, `-` for standard input; the other options change it.",
        ),
    ] = None


def seconds(timeout: str | None) -> float | None:
    """The seconds of `90s`, `10m`, `2h`, `1d` or a plain number."""
    if timeout is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (timeout[:-1], timeout[-1]) if timeout[-1:] in units else (timeout, "s")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise Mistake(f"--timeout {timeout!r}: write a number and a unit, such as 90s, 10m or 2h")
    return found
