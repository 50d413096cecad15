"""Exact numbers as whole numbers: int64 where they fit, else Python's integers in an array of objects.

A decimal is its scaled integer. The two forms give the same values; a bound on a result decides which one is
computed with.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.arrow import Array, Floats, Mask, from_int128_words, int128_words, numbers_of, validity
from worker_service.kernels.expressions.operands import Operand, array, made

Whole = NDArray[Any]
LIMIT = 2**63
_WORD = (1 << 64) - 1
_DIGITS = 18
"""10**18 fits 64 bits."""


def scale_of(operand: Operand) -> int:
    return int(operand.type.scale) if pa.types.is_decimal(operand.type) else 0


def whole(operand: Operand) -> Whole:
    """The numbers of an int64, or the scaled integers of a decimal; 0 where it is null."""
    column = array(operand)
    valid = validity(column)
    if not pa.types.is_decimal(column.type):
        found: Whole = numbers_of(column)
        return found if valid is None else np.where(valid, found, 0)
    low, high = int128_words(column)
    if valid is not None:
        low, high = np.where(valid, low, np.uint64(0)), np.where(valid, high, 0)
    narrow = low.view(np.int64)
    if np.array_equal(high, narrow >> 63):
        return narrow
    wide: Whole = low.astype(object) + high.astype(object) * (_WORD + 1)
    return wide


def bound(found: Whole) -> int:
    """The largest absolute value."""
    return max(int(found.max()), -int(found.min())) if len(found) else 0


def roomy(limit: int, *found: Whole) -> list[Whole]:
    """The numbers in a form for results of at most *limit*."""
    return [each if limit < LIMIT else each.astype(object) for each in found]


def times_ten(found: Whole, digits: int) -> Whole:
    """The numbers times 10**digits."""
    if not digits:
        return found
    [wide] = roomy(max(bound(found), 1) * 10**digits, found)
    result: Whole = wide * 10**digits
    return result


def alike(left: Operand, right: Operand) -> tuple[Whole, Whole]:
    """Both at the larger of their scales."""
    scale = max(scale_of(left), scale_of(right))
    return times_ten(whole(left), scale - scale_of(left)), times_ten(whole(right), scale - scale_of(right))


def half_even(found: Whole, digits: int) -> Whole:
    """The numbers divided by 10**digits, rounded half to even."""
    if not digits:
        return found
    [wide] = roomy(LIMIT if digits > _DIGITS else 0, found)
    by = 10**digits
    quotient, rest = np.floor_divide(wide, by), np.mod(wide, by)
    up = (rest * 2 > by) | ((rest * 2 == by) & (quotient % 2 == 1))
    result: Whole = quotient + up.astype(np.int64)
    return result


def quotient(left: Whole, right: Whole) -> Floats:
    """The double nearest to each exact quotient; arbitrary where *right* is 0.

    Of two numbers that doubles hold, one division rounds once. Python divides all other integers so.
    """
    exact = _is_double(left) & _is_double(right)
    left, right = np.broadcast_arrays(left, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = np.where(exact, left, 1).astype(np.float64) / np.where(exact, right, 1).astype(
            np.float64
        )
    rows = np.flatnonzero(~exact & (right != 0))
    pairs = zip(left[rows].tolist(), right[rows].tolist(), strict=True)
    result[rows] = [dividend / divisor for dividend, divisor in pairs]
    return result


def _is_double(found: Whole) -> Mask:
    """Which numbers a double holds; not all of them, but those of 53 bits."""
    near = np.array((found < LIMIT // 2) & (found > -LIMIT // 2), np.bool_)
    narrow = np.where(near, found, 0).astype(np.int64)
    held: Mask = near & (narrow.astype(np.float64).astype(np.int64) == narrow)
    return held


def fitting(kind: "pa.DataType", found: Whole, valid: Mask | None) -> tuple[Array, Mask | None]:
    """An int64 or decimal array, and the rows that do not fit it; None if all do."""
    most = LIMIT - 1 if pa.types.is_int64(kind) else 10**kind.precision - 1
    least = -most - 1 if pa.types.is_int64(kind) else -most
    bad = None
    if len(found) and (int(found.max()) > most or int(found.min()) < least):
        bad = np.array((found > most) | (found < least), np.bool_)
        if valid is not None:
            bad &= valid
        found = np.where((found > most) | (found < least), 0, found)
    if found.dtype != object or pa.types.is_int64(kind):
        return made(kind, found.astype(np.int64), valid), bad
    low, high = (found & _WORD).astype(np.uint64), (found >> 64).astype(np.int64)
    wide = None if valid is None else np.broadcast_to(valid, found.shape)
    return from_int128_words(kind, low, high, wide), bad
