"""Decimal results: exact integers as 128-bit words, and quotients rounded half to even."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.errors import ValueOutOfRange
from shared.spec.types import DataType
from worker_service.kernels.arrays import Array, Ints, Mask, arrow_type, build_wide
from worker_service.kernels.exact import Limbs, nonzero
from worker_service.kernels.rounding import integer

_SAFE, _WORD = 1 << 62, (1 << 64) - 1
_MOST = 10**38
"""Decimals have at most 38 digits."""


def words_of(limbs: Limbs, size: int) -> tuple[NDArray[np.uint64], Ints]:
    """The last 128 bits of carried integers in two's complement: (low word, high word)."""
    over, found = np.zeros(size, np.int64), []
    for j in range(4):
        digits = limbs.get(j, 0) + over
        over = digits >> 32
        found.append(digits & 0xFFFF_FFFF)
    return (found[0] | (found[1] << 32)).view(np.uint64), found[2] | (found[3] << 32)


def exact_decimals(limbs: Limbs, size: int, result: DataType, present: Mask | None) -> Array:
    """Carried integers as decimals of the result's scale. Raises ValueOutOfRange from 39 digits on."""
    low, high = words_of(limbs, size)
    large = (high >= _MOST >> 64) | (high < -(_MOST >> 64)) | _beyond_words(limbs, size)
    if any(abs(integer(limbs, group)[0]) >= _MOST for group in np.flatnonzero(large).tolist()):
        raise ValueOutOfRange("a sum of decimals has more than 38 digits")
    return build_wide(pa.decimal128(38, result.scale), low, high, present)


def _beyond_words(limbs: Limbs, size: int) -> Mask:
    return nonzero({j: digits for j, digits in limbs.items() if j > 3}, size)


def decimal_quotient(limbs: Limbs, by: Ints, digits: int, result: DataType, present: Mask) -> Array:
    """Each carried integer times 10**digits, divided by *by*, half to even.

    In int64 where all fits, else with Python's integers.
    """
    low, high = words_of(limbs, len(by))
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
        | _beyond_words(limbs, len(by))
    )
    words, tops = quotient.view(np.uint64), quotient >> 63
    for row in np.flatnonzero(slow & present).tolist():
        exact = round(Fraction(integer(limbs, row)[0] * scale, int(by[row])))
        words[row], tops[row] = exact & _WORD, exact >> 64
    return build_wide(arrow_type(result), words, tops, present)
