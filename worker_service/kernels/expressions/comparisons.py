"""Comparisons, by value. NaN equals itself and is above all other numbers, as in aggregates."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.spec.expressions import Typed
from worker_service.arrow import Array, Floats, Ints, Mask, arrow_type, canonical, true
from worker_service.kernels.expressions import whole as w
from worker_service.kernels.expressions.operands import (
    Kernel,
    Operand,
    Operands,
    array,
    made,
    numbers,
    present,
    without,
)

_ARROW = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_NUMPY: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_OPPOSITE = {">": "<=", ">=": "<"}
_EXACT_INTEGERS = 2.0**53


def _compared(node: Typed, operands: Operands) -> Array:
    left, right = operands
    double = [pa.types.is_floating(operand.type) for operand in operands]
    if not any(double):
        return _exactly(node, operands)
    if double[0] and (value := _as_double(right)) is not None:
        return made(pa.bool_(), _below_nan(node.op, numbers(left), value), present([left]))
    if double[1] and (value := _as_double(left)) is not None:
        return made(pa.bool_(), _below_nan(_MIRRORED[node.op], numbers(right), value), present([right]))
    if not all(double):
        order = _mixed(numbers(left), numbers(right)) if double[1] else -_mixed(numbers(right), numbers(left))
        return _signs(node.op, operands, order)
    if any(np.isnan(numbers(operand)).any() for operand in operands):
        return _signs(node.op, operands, _double_order(numbers(left), numbers(right)))
    return _ARROW[node.op](left, right)


def _exactly(node: Typed, operands: Operands) -> Array:
    left, right = operands
    if pa.types.is_decimal(left.type) or pa.types.is_decimal(right.type):
        found = _NUMPY[node.op](*w.alike(left, right))
        return made(pa.bool_(), np.array(found, np.bool_), present(operands))
    return _ARROW[node.op](left, right)


def _as_double(operand: Operand) -> float | None:
    """The value of a scalar if a double holds it and it is not NaN."""
    value = operand.as_py() if isinstance(operand, pa.Scalar) else None
    if isinstance(value, int):
        return float(value) if abs(value) <= _EXACT_INTEGERS else None
    return value if isinstance(value, float) and not math.isnan(value) else None


def _below_nan(operator: str, found: Floats, value: float) -> Mask:
    """How doubles compare with a number. Those that are not at or below it are above, NaN among them."""
    if operator in _OPPOSITE:
        result: Mask = _NUMPY[_OPPOSITE[operator]](found, value)
        return np.logical_not(result, out=result)
    return np.array(_NUMPY[operator](found, value), np.bool_)


def _signs(operator: str, operands: Operands, order: NDArray[np.int8]) -> Array:
    return made(pa.bool_(), _NUMPY[operator](order, 0), present(operands))


def _order(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.int8]:
    """-1, 0 or 1 where the left number is below, at or above the right one."""
    above = np.array(left > right, np.bool_).astype(np.int8)
    below = np.array(left < right, np.bool_).astype(np.int8)
    return above - below


def _double_order(left: Floats, right: Floats) -> NDArray[np.int8]:
    unlike = np.isnan(left).astype(np.int8) - np.isnan(right).astype(np.int8)
    return np.where(unlike, unlike, _order(left, right)).astype(np.int8)


def _mixed(left: Ints, right: Floats) -> NDArray[np.int8]:
    """The order of integers and doubles.

    Rounding keeps the order. So only an integer whose double is equal is compared once more, as an integer.
    """
    near = left.astype(np.float64)
    order = np.where(np.isnan(right), np.int8(-1), _order(near, right)).astype(np.int8)
    rows = np.flatnonzero((order == 0) & (np.abs(near) >= _EXACT_INTEGERS))
    left, right = np.broadcast_arrays(left, right)
    pairs = zip(left[rows].tolist(), right[rows].tolist(), strict=True)
    order[rows] = [(number > int(other)) - (number < int(other)) for number, other in pairs]
    return order


def _member(node: Typed, operands: Operands) -> Array:
    """Null where the value is, and where a null in the list could be it."""
    [value] = operands
    elements = pa.array(node.among, value.type)
    found = pc.is_in(canonical(array(value)), value_set=canonical(elements.drop_null()))
    valid = present([value])
    if elements.null_count:
        hit = true(found)
        valid = hit if valid is None else hit & valid
    return found if valid is None else without(found, ~valid)


def _least(node: Typed, operands: Operands) -> Array:
    """Arrow passes over NaN, which is right for the least: it is above all numbers."""
    return pc.min_element_wise(*map(_plain, operands), skip_nulls=True).cast(arrow_type(node.type))


def _greatest(node: Typed, operands: Operands) -> Array:
    result = pc.max_element_wise(*map(_plain, operands), skip_nulls=True)
    if not pa.types.is_floating(result.type):
        return result.cast(arrow_type(node.type))
    return pc.if_else(reduce(np.logical_or, _nans(operands)), pa.scalar(np.nan), result)


def _plain(operand: Operand) -> Operand:
    """Arrow does not order times with a zone here."""
    return operand.cast(pa.timestamp("us")) if pa.types.is_timestamp(operand.type) else operand


def _nans(operands: Operands) -> Sequence[Any]:
    return [np.asarray(pc.fill_null(pc.is_nan(array(each)), False)) for each in operands]


def _is_null(_: Typed, operands: Operands) -> Array:
    return pc.is_null(operands[0])


KERNELS: dict[str, Kernel] = {
    **dict.fromkeys(_ARROW, _compared),
    "in": _member,
    "least": _least,
    "greatest": _greatest,
    "is_null": _is_null,
    "not": lambda _, operands: pc.invert(operands[0]),
}
