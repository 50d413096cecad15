"""Error-free steps in double arithmetic, and double-double arithmetic made of them.

The sum and the product of two doubles are each exactly a double and a rounding error that is a double too.
Sources: D. Knuth, "The Art of Computer Programming", volume 2 (two_sum); T. J. Dekker, "A floating-point
technique for extending the available precision", 1971 (two_product, with Veltkamp's split).
"""

from typing import TypeAlias

import numpy as np

from worker_service.arrow import Floats

DoubleDouble: TypeAlias = tuple[Floats, Floats]
"""High + low, where low is at most half a unit in the last place of high."""

_SPLITTER = 2.0**27 + 1.0


def two_sum(a: Floats, b: Floats) -> DoubleDouble:
    """The rounded sum and its exact error."""
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def two_product(a: Floats, b: Floats) -> DoubleDouble:
    """The rounded product and its exact error, for products within [2**-960, 2**960]."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = (a_high, a_low) if a is b else _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: Floats) -> tuple[Floats, Floats]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def multiplied(left: DoubleDouble, right: DoubleDouble) -> DoubleDouble:
    product, error = two_product(left[0], right[0])
    return two_sum(product, error + (left[0] * right[1] + left[1] * right[0]))


def divided(value: DoubleDouble, by: DoubleDouble) -> DoubleDouble:
    first = value[0] / by[0]
    product, error = two_product(first, by[0])
    return two_sum(first, ((((value[0] - product) - error) + value[1]) - first * by[1]) / by[0])


def square_root(value: DoubleDouble) -> DoubleDouble:
    root = np.sqrt(value[0])
    square, error = two_product(root, root)
    rest = ((value[0] - square) - error) + value[1]
    return root, np.divide(rest, 2.0 * root, out=np.zeros_like(root), where=root != 0.0)
