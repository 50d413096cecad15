"""Doubles rounded to decimal digits, as their exact values say: half to even, as in Python."""

from fractions import Fraction

import numpy as np

from worker_service.arrow import Floats, Mask
from worker_service.kernels.exact.double_double import two_product
from worker_service.kernels.expressions.whole import Whole

_EXACT_POWERS = 22
"""10**22 is the largest power of ten that a double holds."""
_SURE = 2.0**52


def rounded(found: Floats, digits: int) -> Floats:
    """The double nearest to each rounded value; NaN and the infinities stay."""
    if digits == 0:
        return np.rint(found)
    scaled, sure = _scaled(found, digits)
    result: Floats = scaled / 10.0**digits if 0 < digits <= _EXACT_POWERS else scaled
    rows = np.flatnonzero(~sure)
    result[rows] = [round(value, digits) for value in found[rows].tolist()]
    return result


def scaled_whole(found: Floats, digits: int) -> Whole:
    """The values times 10**digits, rounded to integers; 0 for NaN and the infinities."""
    finite = np.isfinite(found)
    scaled, sure = _scaled(np.where(finite, found, 0.0), digits)
    result = scaled.astype(np.int64)
    rows = np.flatnonzero(~sure)
    if not len(rows):
        return result
    wide = result.astype(object)
    wide[rows] = [
        round(Fraction(value) * 10**digits) for value in np.where(finite, found, 0.0)[rows].tolist()
    ]
    return wide


def _scaled(found: Floats, digits: int) -> tuple[Floats, Mask]:
    """The values times 10**digits, rounded to integers, and where that is sure; 0 elsewhere.

    The product and its error are exact together. The error decides where the product lies halfway.
    """
    if not 0 <= digits <= _EXACT_POWERS:
        return np.zeros_like(found), np.zeros(found.shape, np.bool_)
    power = 10.0**digits
    with np.errstate(over="ignore", invalid="ignore"):
        sure = np.abs(found * power) < _SURE
    product, error = two_product(np.where(sure, found, 0.0), np.full_like(found, power))
    result = np.rint(product)
    rest = product - result
    result += ((rest == 0.5) & (error > 0.0)).astype(np.float64)
    result -= ((rest == -0.5) & (error < 0.0)).astype(np.float64)
    return result, sure
