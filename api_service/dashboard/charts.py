"""The chart of a result: the types of its columns choose it, and rows become bars or lines. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from api_service.dashboard.cells import Cell, cell, is_number, text
from api_service.dashboard.row_links import CHART
from api_service.wire.parameters import invalid
from shared.core.entities import Version
from shared.core.row_query import ROW_ID, Filter, RowQuery, Rows, Term

MOST_BARS, MOST_LINES, MOST_POINTS = 30, 8, 5000
MOST_ROWS = 200_000
"""A result of more rows gets a chart only if it is asked for, since its rows have to be sorted."""
_TIMES = ("date", "timestamp", "timestamptz")
_DIGITS = 8
_Keys = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Draw *value* over *x*: a line for each value of the keys *by*, or a bar for each row."""

    kind: Literal["lines", "bars"]
    x: str
    by: tuple[str, ...]
    value: str

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.x, *self.by)

    def query(self, filters: tuple[Filter, ...]) -> RowQuery:
        """The rows to draw: the largest, or those of the latest times. Nulls come last."""
        lines = self.kind == "lines"
        first = Term(self.x if lines else self.value, descending=True)
        return RowQuery(
            columns=(*self.keys, self.value),
            filters=filters,
            order=(first, Term(ROW_ID)),
            limit=MOST_POINTS if lines else MOST_BARS,
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """A row with its exact value; its bar lies *start* to *start* + *width* percent from the left."""

    keys: tuple[Cell, ...]
    value: Cell
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Bars:
    """*low* and *high* are the ends of the axis."""

    bars: tuple[Bar, ...]
    low: str
    high: str
    more: bool


@dataclass(frozen=True, slots=True)
class Line:
    """The values at the times of the chart; None is a gap."""

    name: str
    values: list[float | None]


@dataclass(frozen=True, slots=True)
class Lines:
    """*times* are seconds since 1970; *more* says that earlier times have rows too.

    *left_out* lines are smaller than these, and *timeless* rows lack a time.
    """

    times: list[float]
    lines: list[Line]
    left_out: int
    timeless: int
    more: bool


def drawable(version: Version) -> list[str]:
    """The columns of numbers that a chart can show; none without a key."""
    if not version.key_columns:
        return []
    return [each["name"] for each in version.columns[version.key_columns :] if is_number(each["type"])]


def chosen(version: Version, asked: str | None) -> Choice | None:
    """The chart of the column *asked* for, else of the first number; None if there is nothing to draw.

    Raises InvalidParameter for a column that is no number.
    """
    numbers = drawable(version)
    if asked is not None and asked not in numbers:
        known = f"those are {', '.join(numbers)}" if numbers else "there are none"
        raise invalid(CHART, f"{asked!r} is no column of numbers after the keys; {known}")
    if not numbers or (asked is None and version.rows > MOST_ROWS):
        return None
    keys = version.columns[: version.key_columns]
    times = [key["name"] for key in keys if key["type"] in _TIMES]
    x = times[0] if times else keys[0]["name"]
    by = tuple(key["name"] for key in keys if key["name"] != x)
    return Choice("lines" if times else "bars", x, by, asked or numbers[0])


def bars(rows: Rows) -> Bars:
    """*rows* hold the keys and then the value, the largest first."""
    found = [_float(row[-1]) for row in rows.values]
    numbers = [number for number in found if number is not None]
    low, high = min([0.0, *numbers]), max([0.0, *numbers])
    span = (high - low) or 1.0
    drawn = []
    for row, number in zip(rows.values, found, strict=True):
        start, end = (100 * (place / span - low / span) for place in sorted((0.0, number or 0.0)))
        keys = tuple(cell(key) for key in row[:-1])
        drawn.append(Bar(keys, cell(row[-1]), round(start, 2), round(end - start, 2)))
    return Bars(tuple(drawn), _end(low), _end(high), rows.last is not None)


def _end(number: float) -> str:
    """An end of an axis, rounded: `0.125`, `4,033,465`, `1.5e+18`."""
    return f"{number:,.0f}" if 1_000 <= abs(number) < 1e15 else f"{number:.6g}"


def lines(rows: Rows, value: str) -> Lines:
    """*rows* hold the time, the other keys and the value, the latest first; a lone line is named *value*.

    If the rows end early, their earliest time may lack some, and is left out.
    """
    kept = _whole_times(rows)
    dated = [row for row in kept if row[0] is not None]
    times = sorted({_seconds(row[0]) for row in dated})
    places = {time: place for place, time in enumerate(times)}
    sizes = _sizes(dated)
    largest = sorted(sizes, key=lambda keys: -sizes[keys])[:MOST_LINES]
    found: dict[_Keys, list[float | None]] = {keys: [None] * len(times) for keys in largest}
    for row in dated:
        if (drawn := found.get(_keys(row))) is not None:
            drawn[places[_seconds(row[0])]] = _float(row[-1])
    return Lines(
        times=times,
        lines=[Line(_name(keys) or value, numbers) for keys, numbers in found.items()],
        left_out=len(sizes) - len(largest),
        timeless=len(kept) - len(dated),
        more=rows.last is not None,
    )


def _whole_times(rows: Rows) -> Sequence[tuple[Any, ...]]:
    if rows.last is None:
        return rows.values
    earliest = rows.values[-1][0]
    return [row for row in rows.values if row[0] != earliest] or rows.values


def _keys(row: tuple[Any, ...]) -> _Keys:
    """Those of the line that a row belongs to: texts, since NaN is unlike itself."""
    return tuple(None if key is None else text(key) for key in row[1:-1])


def _sizes(rows: Sequence[tuple[Any, ...]]) -> dict[_Keys, float]:
    """The keys of each line, and the sum of the sizes of its values, scaled so that it is finite."""
    found: dict[_Keys, float] = {}
    for row in rows:
        keys = _keys(row)
        found[keys] = found.get(keys, 0.0) + abs(_float(row[-1]) or 0.0) / 2**20
    return found


def _name(keys: _Keys) -> str:
    return ", ".join("null" if key is None else key for key in keys)


def _float(value: int | float | Decimal | None) -> float | None:
    """Rounded for drawing; None for a null, NaN or an infinity."""
    number = math.nan if value is None else float(value)
    return float(f"{number:.{_DIGITS}g}") if math.isfinite(number) else None


def _seconds(time: date) -> float:
    """Since 1970; a time without a zone counts as one in UTC."""
    if not isinstance(time, datetime):
        time = datetime(time.year, time.month, time.day, tzinfo=UTC)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
