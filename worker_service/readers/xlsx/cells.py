"""The values of cells. A cell without a value, of an error (`#N/A`) or of an empty text is null.

Numbers are doubles: a column of whole ones below 2^53 is int64. Dates and times become timestamps together.
Values of other kinds in one column are text. A duration and a time of day are text: `30:00:00`.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import Field, Kind
from worker_service.arrow import arrow_type
from worker_service.readers import literals
from worker_service.readers.literals import Converted
from worker_service.readers.xlsx.workbook import Cell

_EXACT = 2**53


def kind_of(cells: Sequence[Cell]) -> Kind:
    """The narrowest kind that holds every value; `null` where there is none."""
    kinds = {_kind(cell) for cell in cells if cell is not None}
    for kind, held in _HELD.items():
        if kinds <= held:
            return kind
    return "string"


_HELD: dict[Kind, set[Kind]] = {
    "null": set(),
    "bool": {"bool"},
    "int64": {"int64"},
    "float64": {"int64", "float64"},
    "date": {"date"},
    "timestamp": {"date", "timestamp"},
}


def _kind(cell: Cell) -> Kind:
    if isinstance(cell, bool):
        return "bool"
    if isinstance(cell, float | int):
        return "int64" if abs(cell) < _EXACT and cell == int(cell) else "float64"
    if isinstance(cell, dt.datetime):
        return "timestamp"
    return "date" if isinstance(cell, dt.date) else "string"


def text_of(cell: Cell) -> str | None:
    """As it would be written in CSV."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float | int):
        return f"{Decimal(repr(cell)):f}".removesuffix(".0")
    if isinstance(cell, dt.timedelta):
        return _duration(cell)
    text = cell.isoformat(sep=" ") if isinstance(cell, dt.datetime) else cell.isoformat()
    return text.rstrip("0") if "." in text else text


def _duration(cell: dt.timedelta) -> str:
    sign, length = ("-", -cell) if cell < dt.timedelta() else ("", cell)
    minutes, seconds = divmod(length, dt.timedelta(minutes=1))
    rest = f"{seconds.seconds:02}.{seconds.microseconds:06}".rstrip("0").rstrip(".")
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{rest.zfill(2)}"


def converted(cells: Sequence[Cell], field: Field, source: SourceSpec) -> Converted:
    """A declared column is read from the texts of its cells."""
    if field.declared or field.type.kind == "string":
        text = pa.array([text_of(cell) for cell in cells], pa.string())
        if not field.declared:
            return Converted(text)
        numbers = np.array([_kind(cell) in ("int64", "float64") for cell in cells], bool)
        return literals.converted_with_numbers(text, numbers, field, source)
    held = _HELD.get(field.type.kind, set())
    others = np.array([cell is not None and _kind(cell) not in held for cell in cells], bool)
    values = [None if other else cell for cell, other in zip(cells, others, strict=True)]
    if field.type.kind == "int64":
        values = [value and int(value) for value in values]
    if field.type.kind == "timestamp":
        values = [_moment(value) for value in values]
    return Converted(pa.array(values, arrow_type(field.type)), others if others.any() else None)


def _moment(cell: Cell) -> dt.datetime | None:
    if cell is None or isinstance(cell, dt.datetime):
        return cell
    return dt.datetime.combine(cell, dt.time())
