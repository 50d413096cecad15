"""Our own 64-bit hash of a group's keys, version 1; its top ten bits are the group's bucket.

It never changes: partials of different workers, releases and machines meet by it, and the digest of a result is built on the buckets. It looks
at values only, never at dictionary order, chunk layout or byte order. Nothing but balance depends on its quality.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.kernels.arrays import Array, canonical_floats, is_string, is_wide, plain, raw, text, valid, words

Hashes: TypeAlias = NDArray[np.uint64]

_SEED, _NULL = np.uint64(0x6772697374_6D696C), np.uint64(0x6E756C6C)
_STEP, _BASE = np.uint64(0x9E3779B97F4A7C15), 0x2545F4914F6CDD1D
_UNBASE = pow(_BASE, -1, 1 << 64)


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
        hashes = _hash_strings(plain(key))
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


def _hash_strings(strings: Array) -> Hashes:
    """mix(length + sum of (byte i + 1) * BASE**(i + 1)), modulo 2**64, over the UTF-8 bytes.

    All strings at once: prefix sums over the whole buffer, shifted back to each string's start by the inverse of BASE.
    """
    places, data = text(strings)
    first, last = int(places[0]), int(places[-1])
    powers = _powers(_BASE, last - first)
    sums = np.zeros(last - first + 1, np.uint64)
    np.cumsum((data[first:last].astype(np.uint64) + np.uint64(1)) * powers[1:], out=sums[1:])
    starts, ends = places[:-1] - first, places[1:] - first
    return _mix((sums[ends] - sums[starts]) * _powers(_UNBASE, last - first)[starts] + (ends - starts).astype(np.uint64))


def _powers(base: int, most: int) -> Hashes:
    """base**0 to base**most, modulo 2**64; each round doubles what is there."""
    powers = np.ones(most + 1, np.uint64)
    done = 1
    while done <= most:
        more = min(done, most + 1 - done)
        powers[done : done + more] = powers[:more] * np.uint64(pow(base, done, 1 << 64))
        done += more
    return powers


GLOBAL_BUCKET = int(buckets([], 1)[0])
"""The bucket of the one group of a query without keys."""
