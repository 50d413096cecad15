"""The order of values: as integers of the same order, and the row of each group that comes first in it."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import (
    Array,
    Floats,
    Ints,
    canonical_floats,
    from_numbers,
    is_string,
    is_wide,
    numbers_of,
    with_dictionary,
)
from worker_service.kernels.grouping import Groups
from worker_service.native import library

Restore: TypeAlias = Callable[[Ints], Array]
"""Makes values of their keys."""

LARGEST = np.iinfo(np.int64).max


def sort_keys(values: Array) -> Ints:
    """One integer for each value, of the same order; *values* holds no null.

    Strings are ordered by their UTF-8 bytes. NaN is above all numbers, 0.0 equals -0.0. Equal values get
    equal integers. Those of strings and of wide decimals are ranks, which compare among these *values* only.
    """
    if is_string(values) or is_wide(values):
        return _ranks(values)[0]
    if pa.types.is_floating(values.type):
        return keys_of_doubles(numbers_of(values))
    whole: Ints = numbers_of(values)
    return whole


def ordered(values: Array, *, descending: bool = False) -> tuple[Ints, Restore]:
    """The `sort_keys` of *values*, or their complements, and the function that makes values of such keys."""
    if is_string(values) or is_wide(values):
        keys, ranked = _ranks(values)
        restore: Restore = lambda keys: ranked.take(pa.array(keys))  # noqa: E731
    else:
        keys, kind = sort_keys(values), values.type
        restore = lambda keys: from_numbers(  # noqa: E731
            kind, doubles_of(keys) if pa.types.is_floating(kind) else keys
        )
    return (~keys, lambda keys: restore(~keys)) if descending else (keys, restore)


def _ranks(values: Array) -> tuple[Ints, Array]:
    """The rank of each value among the different ones, and these in their order."""
    encoded = with_dictionary(values)
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), np.int64)
    ranks[np.asarray(order)] = np.arange(len(order))
    codes: Ints = numbers_of(encoded.indices)
    return ranks[codes], encoded.dictionary.take(order)


def keys_of_doubles(numbers: Floats) -> Ints:
    """The `sort_keys` of doubles."""
    if (native := library()) is None:
        return _flip_negatives(canonical_floats(numbers).view(np.int64))
    numbers, keys = np.ascontiguousarray(numbers), np.empty(len(numbers), np.int64)
    native.gm_double_keys(numbers.ctypes.data, len(keys), keys.ctypes.data)
    return keys


def _flip_negatives(bits: Ints) -> Ints:
    """The bits of doubles as integers of the same order, and back."""
    return bits ^ ((bits >> 63) & LARGEST)


def doubles_of(keys: Ints) -> Floats:
    """The doubles whose `sort_keys` are *keys*."""
    if (native := library()) is None:
        return _flip_negatives(keys).view(np.float64)
    keys, doubles = np.ascontiguousarray(keys), np.empty(len(keys), np.float64)
    native.gm_key_doubles(keys.ctypes.data, len(keys), doubles.ctypes.data)
    return doubles


def least_row(groups: Groups, *keys: Ints) -> Array:
    """The row of each group whose keys are least, compared one key after the other.

    Null for a group without rows. The complement ~key reverses the order of a key.
    """
    rows, codes = np.arange(len(groups.codes)), groups.codes
    for key in keys:
        best, found = np.full(groups.size, LARGEST), key[rows]
        np.minimum.at(best, codes, found)
        kept = found == best[codes]
        rows, codes = rows[kept], codes[kept]
    chosen = np.full(groups.size, -1)
    chosen[codes] = rows
    return pa.array(chosen, mask=chosen < 0)
