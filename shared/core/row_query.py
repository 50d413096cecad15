"""A question about the rows of a result, and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Operator = Literal[
    "exact", "ne", "gt", "gte", "lt", "lte", "in", "isnull", "startswith", "contains", "icontains"
]
OF_TEXTS: tuple[Operator, ...] = ("startswith", "contains", "icontains")
ROW_ID = "_id"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""The first characters by which spreadsheets take a cell for a formula."""
Accuracy = Literal["estimate", "exact"]
"""Of a number of rows."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`value` has the column's Python type; it is a list of such values for `in`, and a bool for `isnull`."""

    column: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the order; nulls come last in both directions."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowQuery:
    """`order` ends with `_id`, which makes it total; `after` is the `_id` of the last row already read."""

    columns: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    order: tuple[Term, ...] = (Term(ROW_ID),)
    after: int | None = None
    limit: int | None = None

    def typed_columns(self, columns: Sequence[dict[str, str]]) -> list[tuple[str, str]]:
        """The query's columns with their types, of a version that has *columns*."""
        types = {ROW_ID: "int64"} | {column["name"]: column["type"] for column in columns}
        return [(name, types[name]) for name in self.columns]


@dataclass(frozen=True, slots=True)
class Rows:
    """The values of the query's columns, row by row.

    `last` is the `_id` of the last row if others follow, else None.
    """

    values: list[tuple[Any, ...]]
    last: int | None
