"""The state that keeps values: all of a group, sorted.

A group's values are one list in its row of a table of states. So they are encoded, stored and merged with the
group. Where values repeat, so that counts save memory, the list has the distinct values only, and a second
list has how often each occurs.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Ints, numbers_of
from worker_service.kernels.aggregates.declaration import Columns, Rows, State
from worker_service.kernels.aggregates.order import Restore, ordered
from worker_service.kernels.grouping import Groups
from worker_service.native import library


@dataclass(frozen=True, slots=True)
class Sorted:
    """Keys (see `aggregates.order`), ascending in each group.

    Those of group g lie from bounds[g] to bounds[g + 1]. *counts* are how often each occurs; None: once.
    A key may be there more than once.
    """

    keys: Ints
    counts: Ints | None
    bounds: Ints


def sort(keys: Ints, groups: Groups, starts: Ints | None = None, counts: Ints | None = None) -> Sorted:
    """The *keys* by group. Run r, of group codes[r], has those from starts[r] to starts[r + 1]; None: one."""
    if (native := library()) is None:
        codes = groups.codes if starts is None else np.repeat(groups.codes, np.diff(starts))
        order = np.lexsort((keys, codes))
        bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=groups.size))])
        return Sorted(keys[order], None if counts is None else counts[order], bounds)
    codes, size, bounds = np.ascontiguousarray(groups.codes), groups.size, np.empty(groups.size + 1, np.int64)
    items = np.ascontiguousarray(keys if counts is None else np.column_stack([keys, counts]))
    runs = (codes.ctypes.data, None if starts is None else starts.ctypes.data, len(codes))
    native.gm_group_bounds(*runs, size, bounds.ctypes.data)
    found, spare, following = np.empty_like(items), np.empty_like(items), np.empty(size, np.int64)
    buffers = [array.ctypes.data for array in (bounds, following, found, spare)]
    if counts is None:
        native.gm_sort_keys(*runs, items.ctypes.data, size, *buffers)
        return Sorted(found, None, bounds)
    native.gm_sort_counted(*runs, items.ctypes.data, size, *buffers)
    return Sorted(np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1]), bounds)


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


def _fresh(keys: Ints, bounds: Ints) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
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


def as_columns(values: Sorted, restore: Restore) -> Columns:
    """*restore* makes values of keys."""
    bounds = pa.array(values.bounds, pa.int32())
    lists = {"": pa.ListArray.from_arrays(bounds, restore(values.keys))}
    if values.counts is not None:
        lists["n"] = pa.ListArray.from_arrays(bounds, pa.array(values.counts))
    return lists


def starts_of(lists: Array) -> Ints:
    """Where each list begins among `lists.flatten()`, and where the last one ends."""
    lengths = np.asarray(pc.list_value_length(lists).fill_null(0))
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def counts_in(columns: Columns) -> Ints | None:
    """How often each value occurs, for each of the flattened lists; of a part without counts, once each."""
    if "n" not in columns or columns["n"].null_count == len(columns["n"]):
        return None
    counted, inside = columns["n"], numbers_of(columns["n"].flatten())
    if not counted.null_count:
        return np.array(inside)
    lengths = np.diff(starts_of(columns[""]))
    counts = np.ones(int(lengths.sum()), np.int64)
    counts[np.repeat(np.asarray(counted.is_valid()), lengths)] = inside
    return counts


def collected(columns: Columns, groups: Groups, *, largest: bool = False) -> tuple[Sorted, Restore]:
    """All values of the rows of each group, sorted; with *largest* from the largest down."""
    keys, restore = ordered(columns[""].flatten(), descending=largest)
    return sort(keys, groups, starts_of(columns[""]), counts_in(columns)), restore


def stored(columns: Columns) -> tuple[Array, Ints | None, Ints]:
    """(values, counts, bounds) of combined states, as in `Sorted`."""
    return columns[""].flatten(), counts_in(columns), starts_of(columns[""])


def _partial(rows: Rows) -> Columns:
    keys, restore = ordered(rows.values[0])
    return as_columns(shortest(sort(keys, rows.groups)), restore)


def _combine(columns: Columns, groups: Groups) -> Columns:
    values, restore = collected(columns, groups)
    return as_columns(shortest(values), restore)


COLUMNS = {"": "list<item: own>", "n": "list<item: int64>"}

VALUES = State(name="v", columns=COLUMNS, identity=None, partial=_partial, combine=_combine, growing=True)
