"""`gristmill rows` and `download`: the rows of a job or of a named result."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from gristmill.cli import output
from gristmill.cli.mistakes import Mistake, Refused
from gristmill.cli.options import Limit, RowFormat, RowOutput, Service, Target
from gristmill.cli.service import Reached, connected
from gristmill.cli.talk import say

if TYPE_CHECKING:
    from gristmill import Result

OrderBy = Annotated[
    str | None,
    Option("--order-by", metavar="COLUMNS", help="Columns, comma-separated; - before one means descending."),
]
Select = Annotated[
    str | None, Option("--select", metavar="COLUMNS", help="The columns to show, comma-separated.")
]
Where = Annotated[
    list[str],
    Option(
        "--filter",
        metavar="COLUMN[__OP]=VALUE",
        help="Keep these rows: country=KR, revenue__gte=100, name__contains=x. May be repeated.",
    ),
]
Version = Annotated[int | None, Option("--version", min=1, metavar="N", help="A version of a named result.")]
TargetFile = Annotated[
    Path,
    Argument(
        metavar="FILE",
        dir_okay=False,
        help="A name that ends with .csv, .ndjson, .parquet or .arrow.",
        show_default=False,
    ),
]


def rows(
    target: Target,
    *,
    keep: Where = [],  # noqa: B006  # typer makes a new one
    order_by: OrderBy = None,
    select: Select = None,
    limit: Limit = None,
    version: Version = None,
    shape: RowOutput = RowFormat.table,
    where: Service,
) -> None:
    """Print the rows of a result, or of a job."""
    with connected(where) as reached:
        show_result(find(reached, target, version), shape, limit, keep, order_by, select)


def download(
    target: Target,
    file: TargetFile,
    *,
    keep: Where = [],  # noqa: B006
    order_by: OrderBy = None,
    select: Select = None,
    version: Version = None,
    where: Service,
) -> None:
    """Store the rows of a result, or of a job, as a file.

    It appears once it is complete.
    """
    with connected(where) as reached:
        result = find(reached, target, version)
        try:
            result.download(file, filters_of(keep), order_by=order_by, select=select)
        except ValueError as error:  # the end of the name
            raise Mistake(str(error)) from error
        say(f"{file}: {file.stat().st_size:,} bytes")


def find(reached: Reached, target: str, version: int | None = None) -> "Result":
    """The result of a job, if it is an id, else a named result. Raises NotFound, JobFailed, Refused."""
    if not target.startswith("job_"):
        try:
            return reached.client.result(target, version)
        except LookupError as error:
            raise Refused(str(error)) from error
    if version is not None:
        raise Mistake("--version is for a named result, and this is a job")
    job = reached.client.job(target)
    if not job.document["done"]:
        cure = reached.command("jobs", "watch", target)
        raise Refused(f"{target} is {job.state} and has no rows yet: {cure}")
    return job.result(progress=False)


def show_result(
    result: "Result",
    shape: RowFormat,
    limit: int | None,
    keep: Sequence[str] = (),
    order_by: str | None = None,
    select: str | None = None,
    *,
    quiet: bool = False,
) -> None:
    """Its rows on standard output. `--filter`, `--order-by` and `--select` are as they were given."""
    filters = filters_of(keep)

    def streamed(kind: str, most: int | None) -> Iterator[bytes]:
        return result.stream(kind, filters, order_by=order_by or None, select=select or None, limit=most)

    output.show_rows(streamed, shape, limit, result.columns, quiet=quiet)


def order(keys: Sequence[str]) -> str | None:
    """`order_by` by these columns; None where their names cannot be listed."""
    listed = not any("," in key or key.startswith("-") for key in keys)
    return ",".join(keys) if keys and listed else None


def filters_of(keep: Sequence[str]) -> dict[str, list[str] | str]:
    """`COLUMN=VALUE` by name, as the client takes them. Several values of a column mean any of these."""
    found: dict[str, list[str]] = {}
    for text in keep:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Mistake(f"--filter {text!r}: write COLUMN=VALUE, such as country=KR or revenue__gte=100")
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
