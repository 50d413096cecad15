"""Distinct keys with dense codes, which stay valid while more rows come: source/groups.c in Python."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from worker_service.arrow import (
    Array,
    Ints,
    canonical_floats,
    is_string,
    is_wide,
    numbers_of,
    string_bytes,
    validity,
    with_dictionary,
)
from worker_service.native.library import Library


class KeyTable:
    """The distinct keys so far, each a record of *width* 64-bit words.

    Codes are 0, 1, 2, … in the order of first occurrence; a null is a key. Codes go with the new keys: an
    int64 array with the code of each row, and one with the row in which each new key came first.
    """

    def __init__(self, native: Library, width: int) -> None:
        self._native, self._table = native, native.gm_keys_new(width)
        if not self._table:
            raise MemoryError
        weakref.finalize(self, native.gm_keys_free, self._table)

    def __len__(self) -> int:
        return int(self._native.gm_keys_size(self._table))

    @property
    def nbytes(self) -> int:
        return int(self._native.gm_keys_bytes(self._table))

    def add(self, key: Array) -> tuple[Ints, Ints]:
        """(codes, firsts) of a column. Strings, plain or not, and wide decimals take a width of 2."""
        if isinstance(key, pa.DictionaryArray):
            return self._add_dictionary(with_dictionary(key))
        if is_string(key):
            offsets, data = string_bytes(key)
            given = offsets.ctypes.data, data.ctypes.data, len(data)
            return self._add(self._native.gm_keys_strings, given, key)
        if is_wide(key):
            return self._add(self._native.gm_keys_words, (_address(key, 16),), key)
        numbers = numbers_of(key)
        if numbers.dtype.kind == "f":
            numbers = canonical_floats(numbers)
        return self._add(self._native.gm_keys_words, (numbers.ctypes.data,), key)

    def add_words(self, words: Ints, rows: int) -> tuple[Ints, Ints]:
        """(codes, firsts) of *rows* records, which lie in *words* one after the other."""
        codes, firsts = np.empty(rows, np.int64), np.empty(rows, np.int64)
        found = self._native.gm_keys_words(
            self._table, words.ctypes.data, None, 0, rows, codes.ctypes.data, firsts.ctypes.data
        )
        return codes, firsts[: _checked(found)]

    def _add(
        self, function: Callable[..., int], given: tuple[int | None, ...], key: Array
    ) -> tuple[Ints, Ints]:
        rows = len(key)
        codes, firsts = np.empty(rows, np.int64), np.empty(rows, np.int64)
        found = function(self._table, *given, *_bitmap(key), rows, codes.ctypes.data, firsts.ctypes.data)
        return codes, firsts[: _checked(found)]

    def _add_dictionary(self, key: "pa.DictionaryArray[Any, Any]") -> tuple[Ints, Ints]:
        """Only the values that some row has become keys."""
        indices, values = key.indices, key.dictionary
        width, first_rows = indices.type.bit_width // 8, np.empty(len(values), np.int64)
        self._native.gm_first_rows(
            _address(indices, width), width, *_bitmap(indices), len(key), len(values), first_rows.ctypes.data
        )
        used = np.flatnonzero(first_rows >= 0)
        present = validity(indices)
        if present is None:
            taken = values if len(used) == len(values) else values.take(pa.array(used))
            codes, firsts = self.add(taken)
            return _scattered(used, codes, len(values))[numbers_of(indices)], first_rows[used[firsts]]
        codes, firsts = self.add(values.take(pa.array([*used.tolist(), None], pa.int64())))
        code_of, rows = _scattered(used, codes[:-1], len(values)), numbers_of(indices)
        found = np.full(len(key), codes[-1])
        found[present] = code_of[rows[present]]
        return found, np.append(first_rows[used], np.argmin(present))[firsts]


class GroupTable:
    """The distinct combinations of several keys, with dense codes as those of a `KeyTable`.

    Each key has a table of its own. A table of their codes together gives the group.
    """

    def __init__(self, native: Library, keys: Sequence[Array]) -> None:
        self._native = native
        self._keys = [KeyTable(native, 2 if is_string(key) or is_wide(key) else 1) for key in keys]
        self._tuples = KeyTable(native, (len(keys) + 1) // 2) if len(keys) > 1 else self._keys[0]

    def __len__(self) -> int:
        return len(self._tuples)

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for table in {*self._keys, self._tuples})

    def add(self, keys: Sequence[Array]) -> tuple[Ints, Ints]:
        """(codes, firsts) of rows, one array for each key."""
        if len(keys) == 1:
            return self._keys[0].add(keys[0])
        columns = [table.add(key)[0] for table, key in zip(self._keys, keys, strict=True)]
        rows, width = len(columns[0]), (len(columns) + 1) // 2
        addresses = np.array([column.ctypes.data for column in columns], np.uintp)
        words = np.empty(rows * width, np.int64)
        self._native.gm_pack_codes(addresses.ctypes.data, len(columns), rows, words.ctypes.data)
        return self._tuples.add_words(words, rows)


def _scattered(at: Ints, codes: Ints, size: int) -> Ints:
    found = np.zeros(size, np.int64)
    found[at] = codes
    return found


def _bitmap(array: Array) -> tuple[int | None, int]:
    """The address of the bits that are 1 where a row is not null, and the bit of the first row."""
    buffer = array.buffers()[0] if array.null_count else None
    return (buffer.address if buffer else None), array.offset


def _address(array: Array, width: int) -> int | None:
    buffer = array.buffers()[1]
    return buffer.address + array.offset * width if buffer else None


def _checked(found: int) -> int:
    if found < 0:
        raise MemoryError
    return found
