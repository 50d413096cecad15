"""The operator `in`: its list is brought to the type of the value that is looked for.

A number that this type cannot hold equals none of its values, and so leaves the list.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from shared.spec.expressions.convert import alike, converted
from shared.spec.expressions.functions import NUMBERS
from shared.spec.expressions.literals import as_type
from shared.spec.expressions.tree import Typed
from shared.spec.types import BOOL, FLOAT64, NULL, DataType


def membership(operator: str, nodes: Sequence[Typed], zone: str) -> Typed:
    """The operands are the value, and literals of its type."""
    value, *elements = nodes
    if value.type == NULL:
        value = as_type(value, next((e.type for e in elements if e.type != NULL), BOOL), zone)
    kinds = {element.type.kind for element in elements} - {"null"}
    if not {value.type.kind, *kinds} <= NUMBERS:
        pairs = [alike(operator, [value, element], zone) for element in elements]
        wider = next((pair[0] for pair in pairs if pair[0].type != value.type), value)
        return Typed(
            operator, BOOL, (wider, *(converted(pair[1], wider.type, zone) for pair in pairs)), value.at
        )
    if value.type.kind == "decimal" and "float64" in kinds:
        value = converted(value, FLOAT64, zone)
    held = [as_type(e, value.type, zone) if e.type == NULL else _held(e, value.type) for e in elements]
    return Typed(operator, BOOL, (value, *(element for element in held if element)), value.at)


def _held(element: Typed, target: DataType) -> Typed | None:
    """The number as one of *target* if it has such a value; a decimal literal becomes the nearest double."""
    value = element.value
    assert isinstance(value, int | float | Decimal), "a number"
    if target.kind == "float64":
        held: float | Decimal = float(value)
        same = isinstance(value, Decimal) or held == value
    elif target.kind == "int64":
        held = int(value)
        same = held == value and -(2**63) <= held < 2**63
    else:
        held, scaled = Decimal(value), Fraction(value) * 10**target.scale
        same = scaled.denominator == 1 and abs(scaled) < 10**target.precision
    return Typed("literal", target, at=element.at, value=held) if same else None
