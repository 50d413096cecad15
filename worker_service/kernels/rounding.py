"""From exact limbs to doubles with ONE correct rounding (to nearest, ties to even): sums, quotients and square roots of quotients.

Sums are rounded without a doubt in three floating-point steps. Quotients are computed in double-double arithmetic with a proven error; where
that error could change the last bit (Ziv's test) the group is computed again with Python's integers, whose true division rounds correctly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from worker_service.kernels.arrays import Floats, Ints, Mask
from worker_service.kernels.exact import BITS, Limbs, two_product, two_sum

_DOUBT = 2.0**-76
"""More than the relative error of a quotient: 2**-84 from dropped digits, 2**-100 from double-double arithmetic."""
_SMALLEST = -1021
"""Below this exponent results may be subnormal, where scaling at the end would round a second time."""


@dataclass(frozen=True, slots=True)
class Denominator:
    """high + low, one a group, is the denominator to 2**-100; exact(group) is the very integer."""

    high: Floats
    low: Floats
    exact: Callable[[int], int]


def denominator(counts: Ints, others: Ints, factor: int = 1) -> Denominator:
    """Counts * others * factor, for counts and others below 2**53."""
    high, low = two_product(counts.astype(np.float64), others.astype(np.float64))
    if factor != 1:
        scale = float(factor)
        product, error = two_product(high, np.full_like(high, scale))
        high, low = two_sum(product, error + (low * scale + high * float(factor - int(scale))))
    return Denominator(high, low, lambda group: int(counts[group]) * int(others[group]) * factor)


def rounded(limbs: Limbs, size: int) -> Floats:
    """The nearest double to each carried sum.

    The three digits from the leading one on hold at least 62 bits, so all that follows them only breaks ties: its sign is appended as a
    last bit. The three are then added so that only the last addition rounds.
    """
    digits, bottom = _window(limbs, size, 3)
    high, low = two_sum(digits[0] * 2.0**65, digits[1] * 2.0**33)
    with np.errstate(over="ignore"):
        return np.ldexp(high + (low + (2.0 * digits[2] + digits[3])), BITS * bottom - 1) + 0.0


def quotient(limbs: Limbs, by: Denominator) -> Floats:
    """The nearest double to each carried sum divided by *by*."""
    high, low, bottom = _divide(limbs, by)
    result, sure = _settle(high, low)
    return _scaled(result, sure, BITS * bottom, lambda group: _exact_quotient(limbs, by, group))


def root_of_quotient(limbs: Limbs, by: Denominator) -> Floats:
    """The nearest double to the square root of each carried sum, none of them negative, divided by *by*."""
    high, low, bottom = _divide(limbs, by)
    root = np.sqrt(high)
    square, error = two_product(root, root)
    rest = np.divide(((high - square) - error) + low, 2.0 * root, out=np.zeros_like(root), where=root != 0.0)
    result, sure = _settle(root, rest)
    return _scaled(result, sure, BITS // 2 * bottom, lambda group: _exact_root(limbs, by, group))


def integer(limbs: Limbs, group: int) -> tuple[int, int]:
    """(n, j): the sum of *group* is exactly n * 2**(32 * j), with j at most 0."""
    bottom = min([*limbs, 0])
    return sum(int(digits[group]) << (BITS * (j - bottom)) for j, digits in limbs.items()), bottom


def _window(limbs: Limbs, size: int, width: int) -> tuple[list[Floats], Ints]:
    """Each sum's *width* digits from its leading one down, then the sign of all that follows; and the grid index of the last of them."""
    places = sorted(limbs, reverse=True)
    top = np.full(size, places[0] if places else 0, np.int64)
    unseen = np.ones(size, np.bool_)
    for j in places:
        top[unseen] = j
        unseen &= limbs[j] == 0
    bottom = top - (width - 1)
    window = [np.zeros(size) for _ in range(width)]
    rest = np.zeros(size)
    for j in reversed(places):
        for k in range(width):
            np.copyto(window[k], limbs[j], where=top - k == j, casting="same_kind")
        below = (bottom > j) & (limbs[j] != 0)
        np.copyto(rest, np.sign(limbs[j]), where=below, casting="same_kind")
    return [*window, rest], bottom


def _divide(limbs: Limbs, by: Denominator) -> tuple[Floats, Floats, Ints]:
    """The quotient as high + low times 2**(32 * index), to a relative error below _DOUBT."""
    size = len(by.high)
    (a, b, c, d, _), bottom = _window(limbs, size, 4)
    high, low = two_sum(a * 2.0**96, b * 2.0**64)
    high, low = two_sum(high, (low + c * 2.0**32) + d)
    first = high / by.high
    product, error = two_product(first, by.high)
    second = ((((high - product) - error) + low) - first * by.low) / by.high
    first, second = two_sum(first, second)
    return first, second, bottom


def _settle(high: Floats, low: Floats) -> tuple[Floats, Mask]:
    """High + low rounded, and whether it is sure: both ends of the interval of doubt round to the same double."""
    doubt = np.abs(high) * _DOUBT
    result = high + (low - doubt)
    return result, result == high + (low + doubt)


def _scaled(result: Floats, sure: Mask, exponent: Ints, exactly: Callable[[int], float]) -> Floats:
    """Result * 2**exponent where it is sure and no subnormal, else computed exactly."""
    sure = sure & ((result == 0.0) | (np.frexp(result)[1] + exponent > _SMALLEST))
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(result, exponent) + 0.0
    for group in np.flatnonzero(~sure).tolist():
        scaled[group] = exactly(group)
    return scaled


def _exact_quotient(limbs: Limbs, by: Denominator, group: int) -> float:
    number, bottom = integer(limbs, group)
    try:
        return number / (by.exact(group) << (-BITS * bottom))
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _exact_root(limbs: Limbs, by: Denominator, group: int) -> float:
    """The root to 64 bits or more, the last of them set if anything is left, then rounded once."""
    number, bottom = integer(limbs, group)
    ratio = Fraction(number, by.exact(group) << (-BITS * bottom))
    shift = max(0, 130 - ratio.numerator.bit_length() + ratio.denominator.bit_length() + 1) // 2
    whole, left = divmod(ratio.numerator << (2 * shift), ratio.denominator)
    root = math.isqrt(whole)
    sticky = root | 1 if left or root * root != whole else root
    return sticky / (1 << shift)
