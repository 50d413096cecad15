"""A chart of a result: the decisions are pure, matplotlib draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gristmill.client.asking import ask
from gristmill.client.errors import MissingPackage
from gristmill.client.rows import Row
from gristmill.client.steps import Request, Steps

TIMES = {"date", "timestamp", "timestamptz"}
MOST_BARS = 100
"""More bars than this cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines or bars of the column `y` over `x`, one for each value of `by`."""

    kind: Literal["line", "bar"]
    x: str
    y: str
    by: tuple[str, ...]


def keys(job_id: str | None) -> Steps[int]:
    """The number of keys among the columns of a job's result."""
    if job_id is None:
        return 1
    spec = (yield from ask(Request(method="GET", path=f"/v1/jobs/{job_id}"))).json()["spec"]
    return len(spec["group_by"])


def chosen(columns: Mapping[str, str], key_count: int, y: str | None) -> Chart:
    """The chart that the types of the keys ask for.

    Raises ValueError without a key or a column of numbers.
    """
    names = list(columns)
    by, values = names[:key_count], names[key_count:]
    numbers = [name for name in values if _is_number(columns[name])]
    if not by:
        raise ValueError("there is one row: a chart needs a key in by=")
    if y is None and not numbers:
        raise ValueError(f"no column of numbers to draw: {', '.join(values)}")
    if y is not None and (y not in columns or not _is_number(columns[y])):
        raise ValueError(f"y={y!r} is no column of numbers; those are {', '.join(numbers)}")
    x = next((name for name in by if columns[name] in TIMES), by[0])
    others = tuple(name for name in by if name != x)
    return Chart("line" if columns[x] in TIMES else "bar", x, y or numbers[0], others)


def _is_number(kind: str) -> bool:
    return kind in {"int64", "float64"} or (kind.startswith("decimal") and not kind.endswith("[]"))


def series(rows: Sequence[Row], chart: Chart) -> dict[str, dict[Any, float]]:
    """The values of `y` by those of `x`, for each value of `by`; nulls are left out."""
    found: dict[str, dict[Any, float]] = {}
    for row in rows:
        if row[chart.x] is not None and row[chart.y] is not None:
            name = ", ".join(str(row[key]) for key in chart.by) or chart.y
            found.setdefault(name, {})[row[chart.x]] = float(row[chart.y])
    return found


def places(rows: Sequence[Row], chart: Chart, *, ordered: bool) -> list[Any]:
    """The values of `x` that have a `y`: in the order of the rows if these are *ordered*, else ascending."""
    found = dict.fromkeys(row[chart.x] for row in rows if row[chart.y] is not None)
    found.pop(None, None)
    return [*found] if ordered else sorted(found)


def drawn(
    rows: Sequence[Row],
    columns: Mapping[str, str],
    key_count: int,
    y: str | None,
    *,
    ordered: bool = False,
) -> Any:
    """The matplotlib Axes of a new figure. Bars of *ordered* rows stand in their order."""
    chart = chosen(columns, key_count, y)
    try:
        import matplotlib.pyplot as plt  # noqa: PLC0415
    except ImportError:
        raise MissingPackage.of("matplotlib", "plot()") from None
    lines = series(rows, chart)
    xs = places(rows, chart, ordered=ordered)
    if chart.kind == "bar" and len(xs) > MOST_BARS:
        raise ValueError(f"{len(xs):,} bars: take fewer rows with filters, or order_by= and limit=")
    _, axes = plt.subplots()
    for index, (name, line) in enumerate(sorted(lines.items())):
        if chart.kind == "line":
            axes.plot(sorted(line), [line[place] for place in sorted(line)], label=name)
        else:
            width = 0.8 / len(lines)
            at = [xs.index(place) + index * width for place in line]
            axes.bar(at, list(line.values()), width, label=name)
    if chart.kind == "bar":
        middle = 0.4 - 0.4 / max(1, len(lines))
        axes.set_xticks([at + middle for at in range(len(xs))], [str(place) for place in xs])
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    if chart.by:
        axes.legend(title=", ".join(chart.by))
    axes.figure.autofmt_xdate()
    return axes
