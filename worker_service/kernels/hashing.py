"""Our own 64-bit hash of a group's keys, version 1; its top ten bits are the group's bucket.

It never changes: partials of different workers, releases and machines meet by it, and the digest of a result
is built on the buckets. It looks at values only, never at dictionary order, chunk layout or byte order.
Nothing but balance depends on its quality.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.kernels.arrays import (
    Array,
    canonical_floats,
    is_string,
    is_wide,
    plain,
    raw,
    text,
    valid,
    words,
)

Hashes: TypeAlias = NDArray[np.uint64]

_SEED, _NULL = np.uint64(0x6772697374_6D696C), np.uint64(0x6E756C6C)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_WORD = 8
_KEPT = np.array([(1 << 8 * octets) - 1 for octets in range(_WORD + 1)], np.uint64)
"""By how many octets of a string a word holds: which of its bits are the string's."""


def hash_keys(keys: Sequence[Array], rows: int) -> Hashes:
    """Hash = mix(hash * 0x9E37... + hash of the key), from the seed, key after key."""
    hashes = np.full(rows, _SEED)
    for key in keys:
        hashes = _mix(hashes * _STEP + _hash(key))
    return hashes


def buckets(keys: Sequence[Array], rows: int) -> NDArray[np.int64]:
    return (hash_keys(keys, rows) >> np.uint64(54)).astype(np.int64)


def _hash(key: Array) -> Hashes:
    present = valid(key)
    if is_string(key):
        hashes = hash_strings(plain(key))
    elif pa.types.is_floating(key.type):
        hashes = _mix(canonical_floats(raw(key)).view(np.uint64))
    elif is_wide(key):
        low, high = words(key)
        hashes = _mix(_mix(low) + high.view(np.uint64))
    else:
        hashes = _mix(raw(key).view(np.uint64))
    return hashes if present is None else np.where(present, hashes, _NULL)


def _mix(x: Hashes) -> Hashes:
    """The finalizer of splitmix64 (Steele, Lea and Flood, 2014)."""
    x = x + _STEP
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_strings(strings: Array) -> Hashes:
    """The length in octets.

    Then, for every 8 octets of UTF-8 as a little-endian word (the last filled up with zeros), mix(hash *
    0x9E37... + word).

    Each round takes the next word of all strings that are long enough. Arbitrary below a null.
    """
    places, data = text(strings)
    first, last = int(places[0]), int(places[-1])
    padded = np.append(data[first:last], np.zeros(_WORD, np.uint8))
    words_at: Hashes = np.ndarray(len(padded) - _WORD + 1, "<u8", padded, strides=(1,))
    starts, left = places[:-1] - first, np.diff(places)
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
