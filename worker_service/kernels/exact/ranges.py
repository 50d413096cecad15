"""The range that the numbers of a column lie in, so that an exact sum of them has the bits that it needs."""

from typing import NamedTuple

import numpy as np

from worker_service.arrow import Floats, Ints
from worker_service.native import Library

_WORD = 64
_INFINITY = 0x7FF << 52


class Range(NamedTuple):
    """Numbers that are multiples of 2**low, and at most 2**high in size."""

    low: int
    high: int


def range_of_doubles(native: Library, numbers: Floats) -> tuple[Range | None, bool]:
    """(range, whether all are finite); no range if all are zero. Without meaning where not all are finite."""
    found = np.empty(2, np.int64)
    native.gm_double_range(numbers.ctypes.data, len(numbers), found.ctypes.data)
    most, least = int(found[0]), int(found[1]) + 1
    if not most:
        return None, True
    return Range(max(least >> 52, 1) - 1075, (most >> 52) - 1022), most < _INFINITY


def bounds(native: Library, numbers: Ints) -> tuple[int, int]:
    """The least and the most of some int64."""
    found = np.empty(2, np.int64)
    native.gm_int_range(numbers.ctypes.data, len(numbers), found.ctypes.data)
    return int(found[0]), int(found[1])


def range_of_ints(native: Library, numbers: Ints) -> Range | None:
    """Of int64; None where all are zero."""
    least, most = bounds(native, numbers) if len(numbers) else (0, 0)
    return Range(0, max(most, ~least).bit_length()) if least or most else None


def range_of_words(high: Ints) -> Range | None:
    """Of integers of two words, by their upper ones."""
    found = max(int(high.max()), ~int(high.min())) if len(high) else None
    return None if found is None else Range(0, _WORD + found.bit_length())
