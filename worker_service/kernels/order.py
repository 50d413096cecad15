"""Values of any type as integers of the same order, and the one row of each group that comes first in it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.kernels.arrays import (
    Array,
    Floats,
    Ints,
    canonical_floats,
    dictionary,
    is_string,
    is_wide,
    raw,
)
from worker_service.kernels.grouping import Groups

LARGEST = np.iinfo(np.int64).max


def ordered(values: Array) -> Ints:
    """One integer a value, none of them null: strings by their UTF-8 bytes, NaN above all numbers, one zero.

    Equal values get equal integers.

    Those of strings and of long decimals are ranks, which mean something among these *values* only.
    """
    if is_string(values) or is_wide(values):
        return _ranks(values)
    if pa.types.is_floating(values.type):
        return flipped(canonical_floats(raw(values)).view(np.int64))
    whole: Ints = raw(values)
    return whole


def _ranks(values: Array) -> Ints:
    encoded = dictionary(values)
    order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    codes: Ints = raw(encoded.indices)
    return ranks[codes]


def flipped(bits: Ints) -> Ints:
    """The bits of doubles as integers of the same order, and back: negative ones are flipped."""
    return bits ^ ((bits >> 63) & LARGEST)


def unflipped(integers: Ints) -> Floats:
    return flipped(integers).view(np.float64)


def least(groups: Groups, *keys: Ints) -> Array:
    """The row of each group whose keys are least, the first of them before all.

    Null for a group without rows. To invert a key, give ~key.
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
