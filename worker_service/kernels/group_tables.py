"""Distinct combinations of keys with dense codes, which stay valid while more rows come."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from worker_service.arrow import Array, Ints, is_string, is_wide
from worker_service.kernels.key_tables import KeyTable
from worker_service.kernels.number_tables import NumberTable
from worker_service.native.library import Library

_MOST_PLACES = 1 << 18
"""Of tuples that there can be, for which an array has places: 1 MB."""


class GroupTable:
    """The distinct combinations of several keys, with dense codes as those of a `KeyTable`.

    Each key has a table of its own. Another one holds the tuples of their codes. It is an array with a place
    for every tuple that there can be, while these are few, else a `KeyTable`.
    """

    def __init__(self, native: Library, keys: Sequence[Array]) -> None:
        self._native = native
        self._keys = [
            KeyTable(native, 2) if is_string(key) or is_wide(key) else NumberTable(native) for key in keys
        ]
        self._known: NDArray[np.int32] | None = np.full([1] * len(keys), -1, np.int32)
        """Codes of one key each -> the code of their tuple, or -1."""
        self._tuples = KeyTable(native, (len(keys) + 1) // 2)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def nbytes(self) -> int:
        known = 0 if self._known is None else self._known.nbytes
        return known + sum(table.nbytes for table in (*self._keys, self._tuples))

    def add(self, keys: Sequence[Array]) -> tuple[Ints, Ints]:
        """(codes, firsts) of rows, one array for each key."""
        if len(keys) == 1:
            codes, firsts = self._keys[0].add(keys[0])
        else:
            columns = [table.add(key)[0] for table, key in zip(self._keys, keys, strict=True)]
            self._make_room()
            codes, firsts = self._of_few(columns) if self._known is not None else self._of_many(columns)
        self._size += len(firsts)
        return codes, firsts

    def _make_room(self) -> None:
        """Room for all keys so far; where that is too much, the known tuples move to a `KeyTable`."""
        if self._known is None:
            return
        sizes = [len(table) for table in self._keys]
        if all(size <= room for size, room in zip(sizes, self._known.shape, strict=True)):
            return
        shape = [max(room, size + size // 4) for size, room in zip(sizes, self._known.shape, strict=True)]
        old = self._known
        if math.prod(shape) <= _MOST_PLACES:
            self._known = np.full(shape, -1, np.int32)
            self._known[tuple(map(slice, old.shape))] = old
            return
        places = np.nonzero(old >= 0)
        order = np.argsort(old[places])
        self._known = None
        self._of_many([column[order] for column in places])

    def _of_few(self, columns: list[Ints]) -> tuple[Ints, Ints]:
        known, rows = self._known, len(columns[0])
        assert known is not None
        strides = np.array(known.strides, np.int64) // known.itemsize
        codes, firsts = np.empty(rows, np.int64), np.empty(rows, np.int64)
        addresses = np.array([column.ctypes.data for column in columns], np.uintp)
        new = self._native.gm_tuple_codes(
            addresses.ctypes.data,
            strides.ctypes.data,
            len(columns),
            rows,
            known.ctypes.data,
            self._size,
            codes.ctypes.data,
            firsts.ctypes.data,
        )
        return codes, firsts[:new]

    def _of_many(self, columns: list[Ints]) -> tuple[Ints, Ints]:
        rows, width = len(columns[0]), (len(columns) + 1) // 2
        addresses = np.array([column.ctypes.data for column in columns], np.uintp)
        words = np.empty(rows * width, np.int64)
        self._native.gm_pack_codes(addresses.ctypes.data, len(columns), rows, words.ctypes.data)
        return self._tuples.add_words(words, rows)
