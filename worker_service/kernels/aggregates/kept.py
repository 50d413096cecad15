"""The keys of the values of groups: gathered, sorted, counted, selected.

A key is an integer of the order of values, see `aggregates.order`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worker_service.arrow import Ints, Mask
from worker_service.kernels.aggregates.order import Numbers, are_doubles, doubles_of, number_keys
from worker_service.native import Library, library


@dataclass(frozen=True, slots=True)
class Kept:
    """Keys by group, in any order within it.

    Those of group g lie from bounds[g] to bounds[g + 1]. *counts* are how often each occurs; None: once.
    A key may be there more than once.
    """

    keys: Ints
    counts: Ints | None
    bounds: Ints


@dataclass(frozen=True, slots=True)
class Sorted(Kept):
    """Keys that ascend in each group."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Keys of some groups: run r, of group codes[r], has those from starts[r] to starts[r + 1]; None: one.

    Runs with *starts* may have doubles, of which the keys are made when they are gathered.
    """

    codes: Ints
    starts: Ints | None
    keys: Numbers
    counts: Ints | None = None


def sort(parts: Sequence[Runs], size: int) -> Sorted:
    """The keys of *parts*, which are of *size* groups."""
    if (native := library()) is not None:
        return _in_order(native, *_gathered(native, parts, size))
    codes, keys = _joined(map(_owners, parts)), _joined(number_keys(part.keys) for part in parts)
    order = np.lexsort((keys, codes))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=size))])
    counts = _joined(map(_counts, parts))[order] if _any_counts(parts) else None
    return Sorted(keys[order], counts, bounds)


def _joined(arrays: Iterable[Ints]) -> Ints:
    """One after the other; there may be none."""
    return np.concatenate([np.empty(0, np.int64), *arrays])


def _owners(runs: Runs) -> Ints:
    """The group of each key."""
    return runs.codes if runs.starts is None else np.repeat(runs.codes, np.diff(runs.starts))


def _any_counts(parts: Sequence[Runs]) -> bool:
    return any(part.counts is not None for part in parts)


def _gathered(native: Library, parts: Sequence[Runs], size: int) -> tuple[Ints, Ints]:
    """(items, bounds): the keys by group, or if any have counts one (key, count) after the other."""
    bounds, width = np.zeros(size + 1, np.int64), 2 if _any_counts(parts) else 1
    parts = [replace(part, codes=np.ascontiguousarray(part.codes)) for part in parts]
    for part in parts:
        native.gm_add_sizes(*_addresses(part), len(part.codes), bounds[1:].ctypes.data)
    following = np.cumsum(bounds, out=bounds).copy()
    found = np.empty((bounds[-1], width), np.int64)
    for part in parts:
        items = np.ascontiguousarray(part.keys if width == 1 else _counted(part))
        given = (*_addresses(part), len(part.codes), items.ctypes.data, width, are_doubles(items))
        native.gm_gather(*given, following.ctypes.data, found.ctypes.data)
    return found if width > 1 else found[:, 0], bounds


def _addresses(runs: Runs) -> tuple[int, int | None]:
    return runs.codes.ctypes.data, None if runs.starts is None else runs.starts.ctypes.data


def _counted(runs: Runs) -> Ints:
    return np.column_stack([number_keys(runs.keys), _counts(runs)])


def _counts(runs: Runs) -> Ints:
    return np.ones(len(runs.keys), np.int64) if runs.counts is None else runs.counts


def _in_order(native: Library, items: Ints, bounds: Ints) -> Sorted:
    """*items* and *bounds* are of `_gathered`; their memory is used again."""
    spare = np.empty((_largest(bounds), *items.shape[1:]), np.int64)
    given = items.ctypes.data, bounds.ctypes.data, len(bounds) - 1, spare.ctypes.data
    if items.ndim == 1:
        native.gm_sort_keys(*given)
        return Sorted(items, None, bounds)
    native.gm_sort_counted(*given)
    return Sorted(np.ascontiguousarray(items[:, 0]), np.ascontiguousarray(items[:, 1]), bounds)


def _largest(bounds: Ints) -> int:
    """The number of keys in the largest group."""
    return int(np.diff(bounds).max(initial=0))


def in_order(values: Kept) -> Sorted:
    """The same values, sorted; those with counts are."""
    keys, bounds = values.keys, values.bounds
    if values.counts is not None:
        return Sorted(keys, values.counts, bounds)
    if (native := library()) is not None:
        return _in_order(native, keys.copy(), bounds)
    falls = np.flatnonzero(keys[1:] < keys[:-1]) + 1
    if np.isin(falls, bounds).all():
        return Sorted(keys, None, bounds)
    return sort([Runs(np.arange(len(bounds) - 1), bounds, keys)], len(bounds) - 1)


def shortest_of(parts: Sequence[Runs], size: int) -> Kept:
    """`shortest` of the keys of *parts*, which are sorted only where they have to be counted."""
    if (native := library()) is None:
        return shortest(sort(parts, size))
    items, bounds = _gathered(native, parts, size)
    if items.ndim == 1 and _mostly_differ(native, items, bounds):
        return Kept(items, None, bounds)
    return shortest(_in_order(native, items, bounds))


def _mostly_differ(native: Library, keys: Ints, bounds: Ints) -> bool:
    """Whether more than half of the keys are the only ones in their group; False may be wrong."""
    bits, enough = np.empty(_largest(bounds) // 8 + 1, np.int64), len(keys) // 2 + 1
    given = keys.ctypes.data, bounds.ctypes.data, len(bounds) - 1
    return bool(native.gm_distinct_least(*given, enough, bits.ctypes.data) >= enough)


def distinct(values: Sorted) -> Sorted:
    """Each key of a group once, with its count."""
    keys, bounds = values.keys, values.bounds
    fresh = _fresh(keys, bounds)
    kept = np.flatnonzero(fresh)
    if values.counts is None:
        counts = np.diff(kept, append=len(keys))
    else:
        counts = np.add.reduceat(values.counts, kept) if len(kept) else values.counts
    return Sorted(keys[kept], counts, np.concatenate([[0], np.cumsum(fresh)])[bounds])


def _fresh(keys: Ints, bounds: Ints) -> Mask:
    """Which keys are not the one before them, of the same group."""
    fresh = np.empty(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    fresh[bounds[:-1][np.diff(bounds) > 0]] = True
    return fresh


def repeated(values: Sorted) -> Sorted:
    """Each key as often as it occurs."""
    if values.counts is None:
        return values
    ends = np.concatenate([[0], np.cumsum(values.counts)])
    return Sorted(np.repeat(values.keys, values.counts), None, ends[values.bounds])


def shortest(values: Sorted) -> Sorted:
    """The same values in the form that takes less memory, which depends on the values only."""
    size = len(values.keys) if values.counts is None else int(values.counts.sum())
    if 2 * _distinct_keys(values) > size:
        return repeated(values)
    return distinct(values)


def _distinct_keys(values: Sorted) -> int:
    if (native := library()) is None:
        return int(np.count_nonzero(_fresh(values.keys, values.bounds)))
    keys, bounds = values.keys, values.bounds
    return int(native.gm_distinct(keys.ctypes.data, bounds.ctypes.data, len(bounds) - 1))


def selected(numbers: Numbers, bounds: Ints, at: Ints, following: Mask) -> tuple[Numbers, Numbers]:
    """The number at place *at* of each group's order, from 0; where *following* also the next, else the same.

    The numbers of group g lie from bounds[g] to bounds[g + 1], in any order. Arbitrary for a group without
    numbers. Numbers that are writable change their places within the group.
    """
    doubles = are_doubles(numbers)
    if (native := library()) is None:
        keys = in_order(Kept(number_keys(numbers), None, bounds)).keys
        first = np.where(np.diff(bounds) > 0, bounds[:-1] + at, 0)
        found = keys[first], keys[first + following]
        return (doubles_of(found[0]), doubles_of(found[1])) if doubles else found
    numbers = np.require(numbers, requirements=("C", "W"))
    spare, (low, high) = np.empty(_largest(bounds), np.int64), np.empty((2, len(at)), numbers.dtype)
    native.gm_select(
        numbers.ctypes.data,
        doubles,
        bounds.ctypes.data,
        len(at),
        *(array.ctypes.data for array in (at, following, spare, low, high)),
    )
    return low, high
