"""The 64-bit hash of a group's keys, version 1; its top ten bits are the group's bucket.

The hash never changes. By it the states of a group get to the same merge, also those of different workers,
releases and machines. The digest of a result is built on the buckets. The hash depends on values only, never
on the order of a dictionary, the layout of chunks or the byte order. Its quality matters for balance only.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.arrow import (
    Array,
    canonical_floats,
    int128_words,
    is_string,
    is_wide,
    numbers_of,
    string_bytes,
    validity,
    without_dictionary,
)
from worker_service.native import library
from worker_service.native.columns import native_columns

Hashes: TypeAlias = NDArray[np.uint64]

_SEED, _NULL = np.uint64(0x6772697374_6D696C), np.uint64(0x6E756C6C)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_WORD = 8
_KEPT = np.array([(1 << 8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
"""Number of bytes of a string in a word -> mask of the bits that are the string's."""


def hash_keys(keys: Sequence[Array], rows: int) -> Hashes:
    """From the seed, for each key: hash = mix(hash * 0x9E37... + hash of the key)."""
    native = library() if rows and not any(map(is_wide, keys)) else None
    if native is not None and (columns := native_columns([without_dictionary(key) for key in keys])):
        found = np.empty(rows, np.uint64)
        native.gm_hash_rows(columns.address, len(columns), rows, found.ctypes.data)
        return found
    hashes = np.full(rows, _SEED)
    for key in keys:
        hashes = _mix(hashes * _STEP + _hash(key))
    return hashes


def buckets(keys: Sequence[Array], rows: int) -> NDArray[np.int64]:
    return (hash_keys(keys, rows) >> np.uint64(54)).astype(np.int64)


def _hash(key: Array) -> Hashes:
    present = validity(key)
    if is_string(key):
        hashes = hash_strings(without_dictionary(key))
    elif pa.types.is_floating(key.type):
        hashes = _mix(canonical_floats(numbers_of(key)).view(np.uint64))
    elif is_wide(key):
        low, high = int128_words(key)
        hashes = _mix(_mix(low) + high.view(np.uint64))
    else:
        hashes = _mix(numbers_of(key).view(np.uint64))
    return hashes if present is None else np.where(present, hashes, _NULL)


def _mix(x: Hashes) -> Hashes:
    """The finalizer of splitmix64 (Steele, Lea and Flood, 2014)."""
    x = x + _STEP
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_strings(strings: Array) -> Hashes:
    """From the length in bytes, for each word of 8 bytes: hash = mix(hash * 0x9E37... + word).

    Words are of UTF-8, little-endian, the last one filled up with zeros. Each round takes the next word of
    all strings that are long enough. Arbitrary below a null.
    """
    bounds, data = string_bytes(strings)
    offsets = bounds.astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    padded = np.append(data[first:last], np.zeros(_WORD, np.uint8))
    words_at: Hashes = np.ndarray(len(padded) - _WORD + 1, "<u8", padded, strides=(1,))
    starts, left = offsets[:-1] - first, np.diff(offsets)
    hashes = left.astype(np.uint64)
    rows: slice | NDArray[np.int64] = slice(None)
    while left.max(initial=0) > 0:
        if left.min() <= 0:
            more = np.flatnonzero(left > 0)
            rows, starts, left = more if isinstance(rows, slice) else rows[more], starts[more], left[more]
        word = words_at[starts] & _KEPT[np.minimum(left, _WORD)]
        hashes[rows] = _mix(hashes[rows] * _STEP + word)
        starts, left = starts + _WORD, left - _WORD
    return hashes


GLOBAL_BUCKET = int(buckets([], 1)[0])
"""The bucket of the one group of a query without keys."""
