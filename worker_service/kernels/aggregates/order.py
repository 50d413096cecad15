"""The order of values: as integers of the same order, and the row of each group that comes first in it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import (
    Array,
    Floats,
    Ints,
    canonical_floats,
    is_string,
    is_wide,
    numbers_of,
    with_dictionary,
)
from worker_service.kernels.grouping import Groups

LARGEST = np.iinfo(np.int64).max


def sort_keys(values: Array) -> Ints:
    """One integer for each value, of the same order; *values* holds no null.

    Strings are ordered by their UTF-8 bytes. NaN is above all numbers, 0.0 equals -0.0. Equal values get
    equal integers. Those of strings and of wide decimals are ranks, which compare among these *values* only.
    """
    if is_string(values) or is_wide(values):
        return _ranks(values)
    if pa.types.is_floating(values.type):
        return _flip_negatives(canonical_floats(numbers_of(values)).view(np.int64))
    whole: Ints = numbers_of(values)
    return whole


def _ranks(values: Array) -> Ints:
    encoded = with_dictionary(values)
    order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    codes: Ints = numbers_of(encoded.indices)
    return ranks[codes]


def _flip_negatives(bits: Ints) -> Ints:
    """The bits of doubles as integers of the same order, and back."""
    return bits ^ ((bits >> 63) & LARGEST)


def doubles_of(keys: Ints) -> Floats:
    """The doubles whose `sort_keys` are *keys*."""
    return _flip_negatives(keys).view(np.float64)


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
