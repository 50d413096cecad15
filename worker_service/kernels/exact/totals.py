"""Exact running sums, one a group, each an integer in one unit: source/accumulate.c in Python."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker_service.arrow import Floats, Ints
from worker_service.kernels.exact.limbs import BITS
from worker_service.native import Library

_WORD = 64
_SPARE = 8
"""Bits that a first choice leaves free, and a finer unit adds, so that sums seldom move."""
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


def range_of_ints(numbers: Ints) -> Range | None:
    """Of int64; None where all are zero."""
    least, most = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    return Range(0, max(most, ~least).bit_length()) if least or most else None


def range_of_words(high: Ints) -> Range | None:
    """Of integers of two words, by their upper ones."""
    found = max(int(high.max()), ~int(high.min())) if len(high) else None
    return None if found is None else Range(0, _WORD + found.bit_length())


class Totals:
    """The sums of some groups; whole ones have the unit 1, all others the unit that their values need.

    `add` functions of the library add to the groups' totals at `address`, after `prepare`.
    """

    def __init__(self, native: Library, *, whole: bool) -> None:
        self._native, self._whole = native, whole
        self._totals: NDArray[np.uint64] = np.zeros((0, 1), np.uint64)
        self._used = False
        self._bound = 0
        self.unit = 0

    @property
    def nbytes(self) -> int:
        return self._totals.nbytes

    @property
    def width(self) -> int:
        return int(self._totals.shape[1])

    @property
    def address(self) -> int:
        return self._totals.ctypes.data

    def prepare(self, groups: int, values: Range, count: int) -> None:
        """Room for *groups*, to each of which up to *count* more *values* may be added."""
        shift = 0
        if not self._used:
            self._used = True
            needed = values.high - values.low + count.bit_length() + 2 + _SPARE
            self.unit = 0 if self._whole else values.low - -needed % _WORD // 2
        elif values.low < self.unit:
            shift = self.unit - values.low + _SPARE
            self.unit -= shift
        self._bound = (self._bound << shift) + (count << (values.high - self.unit))
        width = max(-(-(self._bound.bit_length() + 1) // _WORD), self.width)
        if groups > len(self._totals) or width > self.width or shift:
            self._move(max(groups, len(self._totals)), width, shift)

    def _move(self, groups: int, width: int, shift: int) -> None:
        room = groups if groups == len(self._totals) else groups + groups // 2
        moved = np.zeros((room, width), np.uint64)
        self._native.gm_totals_moved(
            self.address, self.width, len(self._totals), shift, moved.ctypes.data, width
        )
        self._totals = moved

    def digits(self, groups: int) -> dict[int, NDArray[np.int32]]:
        """The sums as `limbs`; groups beyond the room so far have zero."""
        room = min(groups, len(self._totals))
        found: NDArray[Any] = np.zeros((2 * self.width + 2, groups), np.int32)
        bottom, shift = divmod(self.unit, BITS)
        made = found if room == groups else np.zeros((2 * self.width + 2, room), np.int32)
        self._native.gm_totals_digits(self.address, self.width, room, shift, made.ctypes.data)
        if made is not found:
            found[:, :room] = made
        return {bottom + i: digits for i, digits in enumerate(found) if digits.any()}
