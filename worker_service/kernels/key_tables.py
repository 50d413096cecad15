"""Distinct keys with dense codes, which stay valid while more rows come: source/groups.c in Python."""

import weakref
from collections.abc import Callable
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

    Codes are 0, 1, 2, … in the order of first occurrence; a null is a key. Rows are
    added as (codes, firsts), two int64 arrays: the code of each row, and the first row of each new key.
    """

    def __init__(self, native: Library, width: int) -> None:
        self._native, self._table = native, native.gm_keys_new(width)
        if not self._table:
            raise MemoryError
        weakref.finalize(self, native.gm_keys_free, self._table)
        self._whole: tuple[Array, Ints] | None = None
        """The last dictionary whose values are all keys, and their codes: most frames share one."""

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
        if self._whole is not None and not indices.null_count and _are_same(values, self._whole[0]):
            return self._mapped(indices, self._whole[1], 0), np.empty(0, np.int64)
        first_rows = np.empty(len(values), np.int64)
        self._native.gm_first_rows(*_indexes(indices), len(values), first_rows.ctypes.data)
        used = np.flatnonzero(first_rows >= 0)
        at, first_rows = used, first_rows[used]
        present = validity(indices)
        if present is not None:
            at, first_rows = np.append(used, -1), np.append(first_rows, np.argmin(present))
        codes, firsts = self.add(values.take(pa.array(at, mask=at < 0)))
        of_value = np.zeros(len(values), np.int64)
        of_value[used] = codes[: len(used)]
        if len(used) == len(values):
            self._whole = values, of_value
        return self._mapped(indices, of_value, int(codes[-1]) if len(codes) else 0), first_rows[firsts]

    def _mapped(self, indices: Array, of_value: Ints, null_code: int) -> Ints:
        """The codes of rows whose values have the codes *of_value*."""
        found = np.empty(len(indices), np.int64)
        self._native.gm_map_indexes(*_indexes(indices), of_value.ctypes.data, null_code, found.ctypes.data)
        return found


def _indexes(indices: Array) -> tuple[int | None, ...]:
    """The indexes of a dictionary as `gm_first_rows` and `gm_map_indexes` take them."""
    width = indices.type.bit_width // 8
    return _address(indices, width), width, *_bitmap(indices), len(indices)


def _are_same(left: Array, right: Array) -> bool:
    """Whether both are the same values, most often in the same memory."""
    return _place(left) == _place(right) or left.equals(right)


def _place(array: Array) -> tuple[int, ...]:
    addresses = (buffer.address if buffer else 0 for buffer in array.buffers())
    return len(array), array.offset, *addresses


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
