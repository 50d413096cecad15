"""A question about the rows of a result, and its answer."""

from dataclasses import dataclass
from typing import Any, Literal

Operator = Literal["exact", "ne", "gt", "gte", "lt", "lte", "in", "isnull", "startswith"]
ROW_ID = "_id"


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


@dataclass(frozen=True, slots=True)
class Rows:
    """The values of the query's columns, row by row.

    `last` is the `_id` of the last row if others follow, else None.
    """

    values: list[tuple[Any, ...]]
    last: int | None
