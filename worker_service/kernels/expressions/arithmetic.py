"""The arithmetic operators, and the functions of one number.

Integers and decimals are exact. Doubles follow IEEE 754, except that a division by zero is null. `//` floors
and `%` has the sign of the divisor, as in Python.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.expressions import Typed
from worker_service.arrow import arrow_type
from worker_service.kernels.expressions import whole as w
from worker_service.kernels.expressions.doubles import rounded
from worker_service.kernels.expressions.operands import (
    Failing,
    Kernel,
    Operand,
    Operands,
    Outcome,
    array,
    both,
    made,
    numbers,
    present,
    shown,
)

_CHECKED = {
    "+": pc.add_checked,
    "-": pc.subtract_checked,
    "*": pc.multiply_checked,
    "negate": pc.negate_checked,
    "abs": pc.abs_checked,
}
"""Arrow's arithmetic of int64, which refuses a whole array for one overflow."""
_OF_DOUBLES = {"+": pc.add, "-": pc.subtract, "*": pc.multiply}
"""Nothing is to be checked, and so Arrow takes less time."""
_SIGNED = {"negate": "negative", "abs": "absolute value"}
_MOST_DIGITS = 38
_EXACT: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "//": np.floor_divide,
    "%": np.mod,
}
_BOUND: dict[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left + right,
    "*": lambda left, right: left * right,
    "//": max,
    "%": max,
}


def _arithmetic(node: Typed, operands: Operands) -> Outcome:
    """By Arrow where it cannot overflow, or does not."""
    if node.type.kind == "decimal":
        decimals = [_decimal(operand) for operand in operands]
        if _digits(node.op, *(each.type for each in decimals)) > _MOST_DIGITS:
            return _exact(node, operands)
        return _CHECKED[node.op](*decimals).cast(arrow_type(node.type))
    if node.type.kind == "float64":
        return _OF_DOUBLES[node.op](*operands)
    try:
        return _CHECKED[node.op](*operands)
    except pa.ArrowInvalid:
        return _exact(node, operands)


def _decimal(operand: Operand) -> Operand:
    return operand.cast(pa.decimal128(19, 0)) if pa.types.is_int64(operand.type) else operand


def _digits(operator: str, left: "pa.Decimal128Type", right: "pa.Decimal128Type") -> int:
    """The precision of Arrow's result."""
    if operator == "*":
        return int(left.precision + right.precision + 1)
    scale = max(left.scale, right.scale)
    return int(max(left.precision - left.scale, right.precision - right.scale) + 1 + scale)


def _power(node: Typed, operands: Operands) -> Outcome:
    """Of doubles, each product is rounded, from left to right."""
    [operand], power = operands, int(node.settings[0] or 0)
    if node.type.kind != "decimal":
        with suppress(pa.ArrowInvalid):
            return reduce(pc.multiply_checked, [operand] * power)
    found = w.whole(operand)
    [wide] = w.roomy(w.bound(found) ** power, found)
    values, bad = w.fitting(arrow_type(node.type), wide**power, present(operands))
    room = _room(node)
    return (
        values
        if bad is None
        else Failing(values, bad, lambda row: f"{shown(operand, row)} ** {power} {room}")
    )


def _room(node: Typed) -> str:
    return f"needs more than {'64 bits' if node.type.kind == 'int64' else '38 digits'}"


def _floored(node: Typed, operands: Operands) -> Outcome:
    if node.type.kind != "float64":
        return _exact(node, operands)
    left, right = map(numbers, operands)
    with np.errstate(all="ignore"):
        result = _EXACT[node.op](left, right)
    return made(pa.float64(), result, both(present(operands), right != 0.0))


def _exact(node: Typed, operands: Operands) -> Outcome:
    first, second = operands
    left, right = (w.whole(first), w.whole(second)) if node.op == "*" else w.alike(first, second)
    valid = present(operands)
    if node.op in {"//", "%"} and not right.all():
        valid = both(valid, np.array(right != 0, np.bool_))
        right = np.where(right == 0, 1, right)
    left, right = w.roomy(_BOUND[node.op](w.bound(left), w.bound(right)), left, right)
    values, bad = w.fitting(arrow_type(node.type), _EXACT[node.op](left, right), valid)
    if bad is None:
        return values
    room = _room(node)
    return Failing(values, bad, lambda row: f"{shown(first, row)} {node.op} {shown(second, row)} {room}")


def _quotient(_: Typed, operands: Operands) -> Outcome:
    if pa.types.is_floating(operands[0].type):
        left, right = map(numbers, operands)
        with np.errstate(all="ignore"):
            result = left / right
    else:
        left, right = w.alike(*operands)
        result = w.quotient(left, right)
    return made(pa.float64(), result, both(present(operands), np.array(right != 0, np.bool_)))


def _signed(node: Typed, operands: Operands) -> Outcome:
    """The negative or the absolute value: one integer has none."""
    [operand] = operands
    try:
        return _CHECKED[node.op](operand)
    except pa.ArrowInvalid:
        found = numbers(operand)
        bad = np.array(found == -w.LIMIT, np.bool_)
        valid = present(operands)
        values = made(pa.int64(), -found if node.op == "negate" else np.abs(found), valid)
        return Failing(
            values,
            bad if valid is None else bad & valid,
            lambda row: f"the {_SIGNED[node.op]} of {shown(operand, row)} needs more than 64 bits",
        )


def _root(_: Typed, operands: Operands) -> Outcome:
    [operand] = operands
    found, valid = numbers(operand), present(operands)
    bad = np.array(found < 0.0, np.bool_)
    with np.errstate(invalid="ignore"):
        values = made(pa.float64(), np.sqrt(found), valid)
    bad = bad if valid is None else bad & valid
    return (
        Failing(values, bad, lambda row: f"{shown(operand, row)} has no square root") if bad.any() else values
    )


def _whole_part(node: Typed, operands: Operands) -> Outcome:
    """Floor and ceil."""
    [operand] = operands
    if node.type.kind == "int64":
        return array(operand)
    if node.type.kind == "float64":
        return (pc.floor if node.op == "floor" else pc.ceil)(operand)
    found, by = w.whole(operand), 10 ** w.scale_of(operand)
    [found] = w.roomy(w.LIMIT if by >= w.LIMIT else w.bound(found), found)
    result = found // by if node.op == "floor" else -(-found // by)
    return w.fitting(arrow_type(node.type), result, present(operands))[0]


def _rounded(node: Typed, operands: Operands) -> Outcome:
    [operand] = operands
    digits = int(node.settings[0] or 0) if node.settings else 0
    if node.type.kind == "float64":
        return made(pa.float64(), rounded(numbers(operand), digits), present(operands))
    if digits >= w.scale_of(operand):
        return array(operand)
    found = w.half_even(w.whole(operand), w.scale_of(operand) - digits)
    found = w.times_ten(found, max(0, -digits))
    values, bad = w.fitting(arrow_type(node.type), found, present(operands))
    return values if bad is None else Failing(values, bad, _rounds_out(node, operand, digits))


def _rounds_out(node: Typed, operand: Operand, digits: int) -> Callable[[int], str]:
    room = _room(node)
    return lambda row: f"round({shown(operand, row)}, {digits}) {room}"


KERNELS: dict[str, Kernel] = {
    **dict.fromkeys(("+", "-", "*"), _arithmetic),
    **dict.fromkeys(("//", "%"), _floored),
    **dict.fromkeys(("negate", "abs"), _signed),
    **dict.fromkeys(("floor", "ceil"), _whole_part),
    "/": _quotient,
    "**": _power,
    "round": _rounded,
    "sqrt": _root,
}
