"""Rows to dense group codes, by the values of their group keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import (
    Array,
    Floats,
    Ints,
    Mask,
    is_string,
    is_wide,
    numbers_of,
    string_bytes,
    validity,
    with_dictionary,
)
from worker_service.kernels.hashing import hash_strings
from worker_service.kernels.key_tables import KeyTable
from worker_service.native import library

_MAX_RADIX = 1 << 62
"""Codes of several keys together are below it, so that they fit an int64."""
_LONG = 256
"""Bytes; longer strings are not hashed, because that takes a round for every 8 of them."""


@dataclass(frozen=True)
class Groups:
    """The group of each row, as a code: 0 <= code < size. A group may have no rows."""

    codes: Ints
    size: int

    @cached_property
    def counts(self) -> Ints:
        """Rows of each group."""
        return np.bincount(self.codes, minlength=self.size).astype(np.int64, copy=False)

    @cached_property
    def members(self) -> Ints:
        """One of the rows of each group; 0 for a group without rows."""
        members = np.zeros(self.size, np.int64)
        members[self.codes] = np.arange(len(self.codes))
        return members

    def only(self, rows: Mask) -> "Groups":
        """The same groups with some of their rows."""
        return Groups(self.codes[rows], self.size)


def group(keys: Sequence[Array], rows: int) -> Groups:
    """Equal keys get equal codes; a null equals a null. Without keys there is one group, even of no rows."""
    codes, radix = np.zeros(rows, np.int64), 1
    for key in keys:
        more, size = _codes(key)
        if radix * size >= _MAX_RADIX:
            codes, radix = _factorized(codes)
        codes = more if radix == 1 else codes * size + more
        radix *= size
    return _dense(codes, radix) if keys else Groups(codes, 1)


def _codes(key: Array) -> tuple[Ints, int]:
    """A code for each row and a bound on them; nulls have the largest."""
    if (native := library()) is not None and (pa.types.is_string(key.type) or is_wide(key)):
        table = KeyTable(native, 2)
        codes, _ = table.add(key)
        return codes, max(len(table), 1)
    present = validity(key)
    if pa.types.is_string(key.type):
        codes, size = _string_codes(key, present)
    elif is_string(key) or is_wide(key):
        codes, size = _encoded(key)
    else:
        codes, size = _number_codes(numbers_of(key), present)
    if present is None:
        return codes, max(size, 1)
    return np.where(present, codes, size), size + 1


def _encoded(key: Array) -> tuple[Ints, int]:
    encoded = with_dictionary(key)
    return numbers_of(encoded.indices), len(encoded.dictionary)


def _string_codes(key: Array, present: Mask | None) -> tuple[Ints, int]:
    """Strings by their 64-bit hashes; each is then compared with one string of its group.

    Where two different strings have one hash, by a table of strings instead. Where most strings differ,
    hashes take half the time of the table.
    """
    if present is not None:
        codes = np.zeros(len(key), np.int64)
        codes[present], size = _string_codes(key.drop_null(), None)
        return codes, size
    if not len(key) or np.diff(string_bytes(key)[0]).max() > _LONG:
        return _encoded(key)
    codes, size = _factorized(hash_strings(key).view(np.int64))
    members = pa.array(Groups(codes, size).members)
    same = pc.all(pc.equal(key, key.take(members).take(pa.array(codes)))).as_py()
    return _encoded(key) if same is False else (codes, size)


def _number_codes(numbers: Ints | Floats, present: Mask | None) -> tuple[Ints, int]:
    """Numbers in a narrow range are codes already, less the least; others go through a hash table."""
    whole: Ints = numbers.view(np.int64)
    seen = whole if present is None else whole[present]
    if not len(seen):
        return np.zeros(len(whole), np.int64), 1
    least, most = int(seen.min()), int(seen.max())
    if most - least <= max(2 * len(whole), 1024):
        return whole - least, most - least + 1
    return _factorized(whole)


def _factorized(numbers: Ints) -> tuple[Ints, int]:
    if (native := library()) is not None:
        table = KeyTable(native, 1)
        codes, _ = table.add_words(numbers, len(numbers))
        return codes, max(len(table), 1)
    codes, uniques = pd.factorize(numbers)
    return codes.astype(np.int64, copy=False), max(len(uniques), 1)


def _dense(codes: Ints, radix: int) -> Groups:
    """Renumber the codes without gaps; *radix* is above all of them."""
    if radix > max(4 * len(codes), 1024):
        return Groups(*_factorized(codes)) if len(codes) else Groups(codes, 0)
    counts = np.bincount(codes, minlength=radix)
    present = counts > 0
    size = int(np.count_nonzero(present))
    return Groups(codes if size == radix else (np.cumsum(present) - 1)[codes], size)
