"""Decimal results: exact integers as 128-bit decimals, and quotients rounded half to even."""

from fractions import Fraction

import numpy as np
import pyarrow as pa

from shared.errors import ValueOutOfRange
from shared.spec.types import DataType
from worker_service.arrow import Array, Ints, Mask, arrow_type, from_int128_words
from worker_service.kernels.exact.limbs import Limbs, exact_integer, exceeds_words, low_words

_SAFE, _WORD = 1 << 62, (1 << 64) - 1
_LIMIT = 10**38
"""Decimals have at most 38 digits."""


def exact_decimals(limbs: Limbs, size: int, result: DataType, present: Mask | None) -> Array:
    """Carried integers as decimals of the result's scale. Raises ValueOutOfRange from 39 digits on."""
    low, high = low_words(limbs, size)
    large = (high >= _LIMIT >> 64) | (high < -(_LIMIT >> 64)) | exceeds_words(limbs, size)
    if any(abs(exact_integer(limbs, group)[0]) >= _LIMIT for group in np.flatnonzero(large).tolist()):
        raise ValueOutOfRange("a sum of decimals has more than 38 digits")
    return from_int128_words(pa.decimal128(38, result.scale), low, high, present)


def decimal_quotient(limbs: Limbs, by: Ints, digits: int, result: DataType, present: Mask) -> Array:
    """Each carried integer times 10**digits, divided by *by* and rounded half to even.

    Computed in int64 where all intermediate values fit, else with Python's integers.
    """
    low, high = low_words(limbs, len(by))
    total, scale = low.view(np.int64), 10**digits
    whole, rest = np.divmod(total, by)
    part, left = np.divmod(rest * scale, by)
    quotient = whole * scale + part
    quotient += (2 * left > by) | ((2 * left == by) & (quotient & 1 == 1))
    slow = (
        (high != total >> 63)
        | (whole >= _SAFE // scale)
        | (whole <= -(_SAFE // scale))
        | (by >= _SAFE // scale)
        | exceeds_words(limbs, len(by))
    )
    words, tops = quotient.view(np.uint64), quotient >> 63
    for row in np.flatnonzero(slow & present).tolist():
        exact = round(Fraction(exact_integer(limbs, row)[0] * scale, int(by[row])))
        words[row], tops[row] = exact & _WORD, exact >> 64
    return from_int128_words(arrow_type(result), words, tops, present)
