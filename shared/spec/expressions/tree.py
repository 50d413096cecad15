"""The tree of an expression: as it is written, and with the type of each node.

`at` is the column of the text, counted from 1 in characters, where a node begins. For an operator it is the
column of the operator's left operand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

from shared.spec.types import DataType


class ExpressionError(ValueError):
    """A mistake in an expression; the message begins with its column: `column 17: unknown function …`.

    *advice* ends the message. `finding` is the message without it, for callers that have a better one.
    """

    def __init__(self, at: int, detail: str, advice: str = "") -> None:
        super().__init__(f"column {at}: {detail}{advice}")
        self.at = at
        self.finding = f"column {at}: {detail}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the dataset, or a name that an earlier expression gave."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A number with a point is a Decimal, one with an exponent a float."""

    value: bool | int | float | Decimal | str | None
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function with its operands. The list behind `in` is part of the operands."""

    function: str
    operands: "tuple[Expression, ...]"
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A chain: each operator stands between two neighbours of the operands."""

    operators: tuple[str, ...]
    operands: "tuple[Expression, ...]"
    at: int


Expression: TypeAlias = Column | Literal | Call | Comparison
Value: TypeAlias = bool | int | float | Decimal | str | date | datetime | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Typed:
    """A node with its type.

    `op` is `column`, `literal`, an operator or a function. `settings` are the values that an operation has
    beside its operands, such as the name of a column, a pattern or a unit. One node may be an operand of
    several others: it is the same object, and need be evaluated once.
    """

    op: str
    type: DataType
    operands: "tuple[Typed, ...]" = ()
    at: int = 1
    value: Value = None
    """Of a literal."""
    settings: tuple[str | int | None, ...] = ()
    among: tuple[Value, ...] = ()
    """The list behind `in`, of values of the operand's type."""


def names(expression: Expression) -> tuple[str, ...]:
    """The columns that *expression* names, in the order of first use."""
    return tuple(dict.fromkeys(column.name for column in columns(expression)))


def columns(expression: Expression) -> Iterator[Column]:
    """Every place where *expression* names a column."""
    if isinstance(expression, Column):
        yield expression
    elif not isinstance(expression, Literal):
        for operand in expression.operands:
            yield from columns(operand)
