"""From exact limbs to doubles with one correct rounding: to nearest, ties to even.

Theory of operation. A sum is rounded without doubt: its leading digits are added so that only the last
addition rounds (`rounded`). A quotient, or the root of one, is computed in double-double arithmetic, to a
relative error below 2**-76, which is proven. Nearly always every number within that error rounds to the same
double; this is Ziv's test. Where not, the group is computed again with Python's integers, whose true division
rounds correctly.

Source of the test: A. Ziv, "Fast evaluation of elementary mathematical functions with correctly rounded last
bit", 1991.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker_service.arrow import Floats, Ints, Mask
from worker_service.kernels.exact.double_double import (
    DoubleDouble,
    divided,
    multiplied,
    square_root,
    two_sum,
)
from worker_service.kernels.exact.limbs import BITS, Limbs, exact_integer
from worker_service.native import library

_DOUBT = 2.0**-76
"""More than the relative error of a quotient: 2**-84 of dropped digits and 2**-100 of the arithmetic."""
_SMALLEST = -1021
"""Results of a smaller exponent may be subnormal, where scaling at the end would round a second time."""


@dataclass(frozen=True, slots=True)
class Denominator:
    """One a group: high + low to a relative error of 2**-100, and exact(group) as an integer."""

    high: Floats
    low: Floats
    exact: Callable[[int], int]


def denominator(counts: Sequence[Ints], factor: int = 1) -> Denominator:
    """The product of all *counts*, each below 2**53, and of *factor*."""
    size = len(counts[0])
    value = (np.full(size, float(factor)), np.full(size, float(factor - int(float(factor)))))
    for count in counts:
        value = multiplied(value, (count.astype(np.float64), np.zeros(size)))
    return Denominator(*value, lambda group: math.prod(int(count[group]) for count in counts) * factor)


def rounded(limbs: Limbs, size: int) -> Floats:
    """The nearest double to each carried sum.

    The three digits from the leading one on hold at least 62 bits, so all that follows them only breaks ties.
    Its sign is appended as a last bit. The three are then added so that only the last addition rounds.
    """
    total, exponent = _summed_natively(limbs, size) or _summed(limbs, size)
    with np.errstate(over="ignore"):
        found: Floats = np.ldexp(total, exponent) + 0.0
    return found


def _summed(limbs: Limbs, size: int) -> tuple[Floats, "NDArray[np.signedinteger[Any]]"]:
    """(number, exponent of 2) of each sum, rounded."""
    digits, bottom = _window(limbs, size, 3)
    high, low = two_sum(digits[0] * 2.0**65, digits[1] * 2.0**33)
    return high + (low + (2.0 * digits[2] + digits[3])), BITS * bottom - 1


def _summed_natively(limbs: Limbs, size: int) -> tuple[Floats, "NDArray[np.signedinteger[Any]]"] | None:
    if (native := library()) is None:
        return None
    indexes = np.array(sorted(limbs, reverse=True), np.int64)
    columns = [np.ascontiguousarray(limbs[j], np.int64) for j in indexes.tolist()]
    addresses = np.array([column.ctypes.data for column in columns], np.int64)
    total, exponent = np.empty(size), np.empty(size, np.int32)
    given = (addresses.ctypes.data, indexes.ctypes.data, len(columns), size)
    native.gm_rounded(*given, total.ctypes.data, exponent.ctypes.data)
    return total, exponent


def quotient(limbs: Limbs, by: Denominator) -> Floats:
    """The nearest double to each carried sum divided by *by*."""
    value, bottom = _leading(limbs, len(by.high))
    result, sure = _settle(divided(value, (by.high, by.low)))
    return _scaled(result, sure, BITS * bottom, lambda group: _exact_quotient(limbs, by, group))


def root_of_quotient(limbs: Limbs, by: Denominator) -> Floats:
    """The nearest double to the square root of each carried sum, none of them negative, divided by *by*."""
    value, bottom = _leading(limbs, len(by.high))
    result, sure = _settle(square_root(divided(value, (by.high, by.low))))
    return _scaled(result, sure, BITS // 2 * bottom, lambda group: _exact_root(_ratio(limbs, by, group)))


def correlation(covariance: Limbs, left: Limbs, right: Limbs, size: int) -> Floats:
    """The nearest double to covariance / sqrt(left * right), carried sums; 0 where one of those is 0."""
    (c, i), (v, j), (w, k) = (_leading(limbs, size) for limbs in (covariance, left, right))
    by = multiplied(v, w)
    varies, sign = by[0] > 0.0, np.sign(c[0])
    high, low = square_root(divided(multiplied(c, c), (np.where(varies, by[0], 1.0), by[1])))
    result, sure = _settle((varies * sign * high, varies * sign * low))
    return _scaled(
        result,
        sure,
        BITS // 2 * (2 * i - j - k),
        lambda group: _exact_correlation(covariance, left, right, group),
    )


def _window(limbs: Limbs, size: int, width: int) -> tuple[list[Floats], Ints]:
    """Each sum's *width* digits from its leading one down and the sign of all that follows, as doubles.

    Second comes the grid index of the last of these digits.
    """
    indexes = sorted(limbs, reverse=True)
    top = np.full(size, indexes[0] if indexes else 0, np.int64)
    unseen = np.ones(size, np.bool_)
    for j in indexes:
        top[unseen] = j
        unseen &= limbs[j] == 0
    bottom = top - (width - 1)
    window = [np.zeros(size) for _ in range(width)]
    rest = np.zeros(size)
    for j in reversed(indexes):
        for k in range(width):
            np.copyto(window[k], limbs[j], where=top - k == j, casting="same_kind")
        below = (bottom > j) & (limbs[j] != 0)
        np.copyto(rest, np.sign(limbs[j]), where=below, casting="same_kind")
    return [*window, rest], bottom


def _leading(limbs: Limbs, size: int) -> tuple[DoubleDouble, Ints]:
    """(value, index): the sums are value * 2**(32 * index), to a relative error of 2**-84."""
    (a, b, c, d, _), bottom = _window(limbs, size, 4)
    high, low = two_sum(a * 2.0**96, b * 2.0**64)
    return two_sum(high, (low + c * 2.0**32) + d), bottom


def _settle(value: DoubleDouble) -> tuple[Floats, Mask]:
    """The value rounded, and whether that is sure: both ends of the interval of error round to one double."""
    high, low = value
    doubt = np.abs(high) * _DOUBT
    result = high + (low - doubt)
    return result, result == high + (low + doubt)


def _scaled(result: Floats, sure: Mask, exponent: Ints, exactly: Callable[[int], float]) -> Floats:
    """Result * 2**exponent where it is sure and not subnormal; elsewhere computed exactly."""
    sure = sure & ((result == 0.0) | (np.frexp(result)[1] + exponent > _SMALLEST))
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(result, exponent) + 0.0
    for group in np.flatnonzero(~sure).tolist():
        scaled[group] = exactly(group)
    return scaled


def _exact_quotient(limbs: Limbs, by: Denominator, group: int) -> float:
    number, bottom = exact_integer(limbs, group)
    try:
        return number / (by.exact(group) << (-BITS * bottom))
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _ratio(limbs: Limbs, by: Denominator, group: int) -> Fraction:
    number, bottom = exact_integer(limbs, group)
    return Fraction(number, by.exact(group) << (-BITS * bottom))


def _exact_correlation(covariance: Limbs, left: Limbs, right: Limbs, group: int) -> float:
    (c, i), (v, j), (w, k) = (exact_integer(limbs, group) for limbs in (covariance, left, right))
    ratio = Fraction(c * c, v * w) * Fraction(2) ** (BITS * (2 * i - j - k))
    return math.copysign(_exact_root(ratio), c)


def _exact_root(ratio: Fraction) -> float:
    """The root of *ratio*, rounded once: from 64 bits or more, the last of them set if anything is left."""
    shift = max(0, 130 - ratio.numerator.bit_length() + ratio.denominator.bit_length() + 1) // 2
    whole, left = divmod(ratio.numerator << (2 * shift), ratio.denominator)
    root = math.isqrt(whole)
    sticky = root | 1 if left or root * root != whole else root
    return sticky / (1 << shift)
