"""Comparisons, and the operator `in`: the operands that have an order, and their common type.

The list behind `in` is brought to the type of the value that is looked for. A number that this type cannot
hold equals none of its values, and so leaves the list.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from shared.spec.expressions.convert import alike, as_exact, converted
from shared.spec.expressions.functions import NUMBERS
from shared.spec.expressions.literals import as_type
from shared.spec.expressions.tree import Typed, Value
from shared.spec.types import BOOL, FLOAT64, NULL, DataType


def compared(operator: str, left: Typed, right: Typed, zone: str) -> Typed:
    """Numbers are compared by value, a double and a decimal as doubles."""
    kinds = {left.type.kind, right.type.kind}
    if kinds == {"float64", "decimal"}:
        left, right = (converted(node, FLOAT64, zone) for node in (left, right))
    elif not kinds <= NUMBERS:
        left, right = alike(operator, [left, right], zone)
    elif "decimal" in kinds:
        left, right = (as_exact(node, zone) for node in (left, right))
    return Typed(operator, BOOL, (left, right), left.at)


def membership(operator: str, nodes: Sequence[Typed], zone: str) -> Typed:
    """The operand is the value; the list has values of its type."""
    value, *elements = nodes
    if value.type == NULL:
        value = as_type(value, next((e.type for e in elements if e.type != NULL), BOOL), zone)
    kinds = {element.type.kind for element in elements} - {"null"}
    if not {value.type.kind, *kinds} <= NUMBERS:
        value, *elements = alike(operator, [value, *elements], zone)
        return Typed(operator, BOOL, (value,), value.at, among=tuple(e.value for e in elements))
    if value.type.kind == "decimal" and "float64" in kinds:
        value = converted(value, FLOAT64, zone)
    held = tuple(each for element in elements for each in _held(element.value, value.type))
    return Typed(operator, BOOL, (value,), value.at, among=held)


def _held(number: Value, target: DataType) -> Iterator[Value]:
    """The number as one of *target* if it has such a value; a decimal literal becomes the nearest double."""
    if number is None:
        yield None
        return
    assert isinstance(number, int | float | Decimal), "the kinds are those of numbers"
    if target.kind == "float64":
        double = float(number)
        if isinstance(number, Decimal) or double == number:
            yield double
    elif target.kind == "int64":
        whole = int(number)
        if whole == number and -(2**63) <= whole < 2**63:
            yield whole
    else:
        scaled = Fraction(number) * 10**target.scale
        if scaled.denominator == 1 and abs(scaled) < 10**target.precision:
            yield Decimal(number)
