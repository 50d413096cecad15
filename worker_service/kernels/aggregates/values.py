"""The columns of a state that keeps values.

A group's values are one list in its row of a table of states. So they are encoded, stored and merged with the
group. Where values repeat, so that counts save memory, the list has the distinct values only, and a second
list has how often each occurs. Only then are the values sorted for sure: to sort others would save nothing.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Ints, as_array, numbers_of
from worker_service.kernels.aggregates.declaration import Columns
from worker_service.kernels.aggregates.kept import Kept, Runs
from worker_service.kernels.aggregates.order import Restore, comparable, has_ranks, ordered
from worker_service.kernels.grouping import Groups


def as_columns(values: Kept, restore: Restore) -> Columns:
    """*restore* makes values of keys, in the memory of these."""
    bounds = pa.array(values.bounds, pa.int32())
    lists = {"": pa.ListArray.from_arrays(bounds, restore(values.keys))}
    if values.counts is not None:
        lists["n"] = pa.ListArray.from_arrays(bounds, pa.array(values.counts))
    return lists


def starts_of(lists: Array) -> Ints:
    """Where each list begins among `lists.flatten()`, and where the last one ends."""
    lengths = np.asarray(pc.list_value_length(lists).fill_null(0))
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _counts_in(columns: Columns) -> Ints | None:
    """How often each value occurs, for each of the flattened lists; of a part without counts, once each."""
    if not _has_counts(columns):
        return None
    counted, inside = columns["n"], numbers_of(columns["n"].flatten())
    if not counted.null_count:
        return np.array(inside)
    lengths = np.diff(starts_of(columns[""]))
    counts = np.ones(int(lengths.sum()), np.int64)
    counts[np.repeat(np.asarray(counted.is_valid()), lengths)] = inside
    return counts


def collected(columns: Columns, groups: Groups, *, largest: bool = False) -> tuple[list[Runs], Restore]:
    """The values of some states, whose rows are of *groups*; with *largest* in the reverse order.

    Numbers without counts stay apart, those of each table in a part of their own, so that none are copied.
    """
    lists, none = columns[""], pa.nulls(0, columns[""].type.value_type)
    if largest or has_ranks(none) or _has_counts(columns):
        values, counts, bounds = stored(columns)
        keys, restore = ordered(values, descending=largest)
        return [Runs(groups.codes, bounds, keys, counts)], restore
    starts, end, parts = starts_of(lists), 0, list[Runs]()
    for chunk in lists.chunks:
        start, end = end, end + len(chunk)
        numbers, _ = comparable(chunk.flatten())
        parts.append(Runs(groups.codes[start:end], starts[start : end + 1] - starts[start], numbers))
    _, restore = ordered(none)
    return parts, restore


def _has_counts(columns: Columns) -> bool:
    return "n" in columns and columns["n"].null_count < len(columns["n"])


def stored(columns: Columns) -> tuple[Array, Ints | None, Ints]:
    """(values, counts, bounds) of combined states, as in `Kept`."""
    columns = _whole(columns)
    return columns[""].flatten(), _counts_in(columns), starts_of(columns[""])


def _whole(columns: Columns) -> Columns:
    return {suffix: as_array(column) for suffix, column in columns.items()}


COLUMNS = {"": "list<item: own>", "n": "list<item: int64>"}
