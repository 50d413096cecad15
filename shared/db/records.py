"""From the rows of a table to the types of shared.core, and back."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shared.core.row_counts import RowCounts
from shared.db.pool import Record

Row = TypeVar("Row")
_COUNTS = {
    "rows_read": "read",
    "rows_aggregated": "aggregated",
    "rows_filtered": "filtered",
    "rows_dropped": "dropped_null_key",
    "rows_quarantined": "quarantined",
    "rows_skipped": "skipped",
}
"""Column of gristmill.units -> field of RowCounts."""


def read_row(of: type[Row], record: Record, **read: Any) -> Row:
    """The dataclass *of* a row: each field from the column of its name, but those that are *read* already."""
    names = (field.name for field in dataclasses.fields(of))  # type: ignore[arg-type]  # a class of any kind
    return of(**{name: record[name] for name in names if name not in read}, **read)


def read_page(records: Sequence[Record], read: Callable[[Record], Row]) -> tuple[list[Row], bool]:
    """The rows of a list that may end early, and whether others follow: its column `further`."""
    return [read(record) for record in records], bool(records) and records[-1]["further"]


def read_counts(record: Record) -> RowCounts:
    """The counts of a unit, or sums over the units of a job under the same names."""
    return RowCounts(**{field: record[column] for column, field in _COUNTS.items()})


def count_columns(counts: RowCounts) -> dict[str, int]:
    """Every count by its column."""
    return {column: getattr(counts, field) for column, field in _COUNTS.items()}
