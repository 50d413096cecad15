"""The types of exact arithmetic.

An int64 beside a decimal counts as decimal(19,0), and a literal as a decimal of the digits that it has. A
result has all the digits that it can need, up to 38. A value that needs more is an error of its row.
"""

from collections.abc import Iterable

from shared.spec.expressions.literals import digits_of
from shared.spec.expressions.tree import ExpressionError, Typed
from shared.spec.types import FLOAT64, NULL, TIMESTAMP, DataType

MOST_DIGITS = 38


def exact(node: Typed) -> DataType:
    """The type of an int64 or decimal as a decimal."""
    if node.type.kind == "decimal":
        return node.type
    return digits_of(node.value) if isinstance(node.value, int) else DataType("decimal", 19, 0)


def _decimal(whole: int, scale: int) -> DataType:
    return DataType("decimal", max(1, scale, min(MOST_DIGITS, whole + scale)), scale)


def result_of(operator: str, left: Typed, right: Typed) -> DataType:
    """The decimal type of `+`, `-`, `*`, `//` or `%`; one operand is a decimal, and none a double."""
    a, b = exact(left), exact(right)
    scale = max(a.scale, b.scale)
    match operator:
        case "+" | "-":
            return _decimal(max(a.precision - a.scale, b.precision - b.scale) + 1, scale)
        case "*":
            if a.scale + b.scale > MOST_DIGITS:
                raise ExpressionError(
                    left.at,
                    f"the product of {a} and {b} has {a.scale + b.scale} decimal digits, and "
                    f"{MOST_DIGITS} are the most; round one of them first, such as round(x, 6)",
                )
            return _decimal(a.precision - a.scale + b.precision - b.scale, a.scale + b.scale)
        case "//":
            return _decimal(a.precision - a.scale + b.scale + 1, 0)
        case _:
            return _decimal(b.precision - b.scale, scale)


def rounded(number: DataType, digits: int) -> DataType:
    """The type of a decimal that is rounded to so many decimal digits."""
    if digits >= number.scale:
        return number
    return _decimal(number.precision - number.scale + 1, max(0, min(number.scale, digits)))


def common(nodes: Iterable[Typed]) -> DataType | None:
    """The one type to which all can be brought without a loss, or to float64; None if there is none."""
    present = [node for node in nodes if node.type != NULL]
    types, kinds = {node.type for node in present}, {node.type.kind for node in present}
    if len(types) < 2:
        return next(iter(types), NULL)
    if kinds <= {"int64", "decimal"}:
        exacts = [exact(node) for node in present]
        scale = max(each.scale for each in exacts)
        whole = max(each.precision - each.scale for each in exacts)
        return DataType("decimal", whole + scale, scale) if whole + scale <= MOST_DIGITS else None
    if kinds <= {"int64", "decimal", "float64"}:
        return FLOAT64
    return TIMESTAMP if kinds <= {"date", "timestamp"} else None
