"""The order of values: as integers of the same order, and the row of each group that comes first in it."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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

Numbers: TypeAlias = NDArray[Any]
"""Of int64 or float64."""
Restore: TypeAlias = Callable[[Ints], Array]
"""Makes values of their keys, whose memory is used again."""

LARGEST = np.iinfo(np.int64).max


def sort_keys(values: Array) -> Ints:
    """One integer for each value, of the same order; *values* holds no null.

    Strings are ordered by their UTF-8 bytes. NaN is above all numbers, 0.0 equals -0.0. Equal values get
    equal integers. Those of strings and of wide decimals are ranks, which compare among these *values* only.
    """
    return number_keys(_ranks(values)[0] if has_ranks(values) else numbers_of(values))


def has_ranks(values: Array) -> bool:
    """Whether their `sort_keys` are ranks."""
    return is_string(values) or is_wide(values)


def comparable(values: Array) -> tuple[Numbers, Callable[[Numbers], Array]]:
    """Numbers of the order of *values*, and the function that makes values of them; doubles as they are."""
    if has_ranks(values):
        ranks, ranked = _ranks(values)
        return ranks, lambda ranks: ranked.take(pa.array(ranks))
    return numbers_of(values), partial(from_numbers, values.type)


def ordered(values: Array, *, descending: bool = False) -> tuple[Ints, Restore]:
    """The `sort_keys` of *values*, or their complements, and the function that makes values of such keys."""
    numbers, of_numbers = comparable(values)
    keys, doubles = number_keys(numbers), are_doubles(numbers)

    def restore(keys: Ints) -> Array:
        keys = np.invert(keys, out=keys) if descending else keys
        return of_numbers(doubles_of(keys) if doubles else keys)

    return ~keys if descending else keys, restore


def _ranks(values: Array) -> tuple[Ints, Array]:
    """The rank of each value among the different ones, and these in their order."""
    encoded = with_dictionary(values)
    order = pc.sort_indices(encoded.dictionary)
    ranks = np.empty(len(order), np.int64)
    ranks[np.asarray(order)] = np.arange(len(order))
    codes: Ints = numbers_of(encoded.indices)
    return ranks[codes], encoded.dictionary.take(order)


def are_doubles(numbers: Numbers) -> bool:
    return numbers.dtype.kind == "f"


def number_keys(numbers: Numbers) -> Ints:
    """The `sort_keys` of numbers; integers are their own."""
    if not are_doubles(numbers):
        return numbers
    if (native := library()) is None:
        return _flip_negatives(canonical_floats(numbers).view(np.int64))
    numbers, keys = np.ascontiguousarray(numbers), np.empty(len(numbers), np.int64)
    native.gm_double_keys(numbers.ctypes.data, len(keys), keys.ctypes.data)
    return keys


def _flip_negatives(bits: Ints) -> Ints:
    """The bits of doubles as integers of the same order, and back."""
    return bits ^ ((bits >> 63) & LARGEST)


def doubles_of(keys: Ints) -> Floats:
    """The doubles whose `sort_keys` are *keys*, in the memory of these."""
    if (native := library()) is None:
        return _flip_negatives(keys).view(np.float64)
    keys = np.require(keys, requirements=("C", "W"))
    native.gm_key_doubles(keys.ctypes.data, len(keys))
    return keys.view(np.float64)


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
