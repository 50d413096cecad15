"""Distinct integers with dense codes: a place for each integer while they lie close together."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.arrow import Array, Ints, numbers_of
from worker_service.kernels.exact.ranges import bounds
from worker_service.kernels.key_tables import KeyTable
from worker_service.native.library import Library

MOST_PLACES = 1 << 20
"""4 MB: a lookup costs less than a hash, though it may leave the cache."""

_LEAST = -(1 << 63)


class NumberTable:
    """A column's numbers so far, with the codes that a `KeyTable` gives.

    Such a table takes over once they are not close together, or there is a null or a double.
    """

    def __init__(self, native: Library) -> None:
        self._native, self._table = native, KeyTable(native, 1)
        self._known: NDArray[np.int32] | None = np.empty(0, np.int32)
        """The code of the number `first + i` at place i, or -1."""
        self._first = self._size = 0

    def __len__(self) -> int:
        return len(self._table) if self._known is None else self._size

    @property
    def nbytes(self) -> int:
        return self._table.nbytes + (0 if self._known is None else self._known.nbytes)

    def add(self, key: Array) -> tuple[Ints, Ints]:
        """(codes, firsts) of a column, see `KeyTable`."""
        numbers, known = self._placed(key), self._known
        if numbers is None or known is None:
            self._leave()
            return self._table.add(key)
        rows = len(numbers)
        codes, firsts = np.empty(rows, np.int64), np.empty(rows, np.int64)
        new = self._native.gm_number_codes(
            numbers.ctypes.data,
            rows,
            self._first,
            known.ctypes.data,
            self._size,
            codes.ctypes.data,
            firsts.ctypes.data,
        )
        self._size += new
        return codes, firsts[:new]

    def _placed(self, key: Array) -> Ints | None:
        """The numbers, with a place for each of them; None where there is none."""
        if self._known is None or key.null_count or pa.types.is_floating(key.type):
            return None
        numbers: Ints = numbers_of(key)
        if not len(numbers):
            return numbers
        least, most = bounds(self._native, numbers)
        end = most + 1
        old, size = self._first, len(self._known)
        if size:
            least, end = min(least, old), max(end, old + size)
        if end - least > MOST_PLACES:
            return None
        if end - least > size:
            room = max(end - least, min(2 * size, MOST_PLACES))
            self._first = max(end - room, _LEAST) if least < old and size else least
            known = np.full(room, -1, np.int32)
            known[old - self._first :][:size] = self._known
            self._known = known
        return numbers

    def _leave(self) -> None:
        if self._known is not None:
            places = np.flatnonzero(self._known >= 0)
            numbers = np.empty(self._size, np.int64)
            numbers[self._known[places]] = places + self._first
            self._table.add_words(numbers, len(numbers))
            self._known = None
