"""Exact running sums, one a group, each an integer in one unit: source/accumulate.c in Python."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker_service.kernels.exact.limbs import BITS
from worker_service.kernels.exact.ranges import Range
from worker_service.kernels.group_words import GroupWords, Total

_WORD = 64
_SPARE = 8
"""Bits that a first choice leaves free, and a finer unit adds, so that sums seldom move."""


class Totals:
    """The sums of some groups; whole ones have the unit 1, all others the unit that their values need."""

    def __init__(self, words: GroupWords, *, whole: bool) -> None:
        self._words, self._whole = words, whole
        self.total = Total(0)
        self._bound = self.unit = 0

    def prepare(self, values: Range, count: int) -> None:
        """For up to *count* more *values*, added to any group in the next step."""
        total, shift = self.total, 0
        if not total.width:
            needed = values.high - values.low + count.bit_length() + 2 + _SPARE
            self.unit = 0 if self._whole else values.low - -needed % _WORD // 2
        elif values.low < self.unit:
            shift = self.unit - values.low + _SPARE
            self.unit -= shift
        self._bound = (self._bound << shift) + (count << (values.high - self.unit))
        total.width = max(-(-(self._bound.bit_length() + 1) // _WORD), total.width)
        total.shift += shift

    def digits(self, groups: int) -> dict[int, NDArray[np.int32]]:
        """The sums as `limbs`; groups beyond the room so far have zero."""
        totals = self._words.of(self.total)
        room, width = min(groups, len(totals)), totals.shape[1]
        found: NDArray[Any] = np.zeros((2 * width + 2, groups), np.int32)
        if not room:
            return {}
        bottom, shift = divmod(self.unit, BITS)
        made = found if room == groups else np.zeros((2 * width + 2, room), np.int32)
        self._words.native.gm_totals_digits(
            totals.ctypes.data, self._words.stride, width, room, shift, made.ctypes.data
        )
        if made is not found:
            found[:, :room] = made
        return {bottom + i: digits for i, digits in enumerate(found) if digits.any()}
