"""States that keep values: every distinct value of a group with how often it occurs, or only those at one end of their order.

A group's values are one list of (value, count) in its row of the states, so that they are cut into pieces,
stored and merged with the group.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.kernels.arrays import Array, Ints, canonical, plain, raw
from worker_service.kernels.declaration import Columns, Rows, State
from worker_service.kernels.exact import sum_digits
from worker_service.kernels.grouping import Groups, group


def _tally(rows: Rows) -> Columns:
    values = canonical(rows.values[0])
    pairs = _pairs(values, rows.groups.codes)
    return {"": _lists(values, rows.groups, pairs, pairs.counts)}


def _merge(columns: Columns, groups: Groups) -> Columns:
    values, counts, owners = flat(columns[""])
    members = Groups(groups.codes[owners], groups.size)
    pairs = _pairs(values, members.codes)
    return {"": _lists(values, members, pairs, sum_digits(counts, pairs.codes, pairs.size))}


def _pairs(values: Array, codes: Ints) -> Groups:
    """The rows by their group and value."""
    return group([pa.array(codes), values], len(codes))


def _lists(values: Array, groups: Groups, pairs: Groups, counts: Ints) -> Array:
    """For each group the list of its distinct values with their *counts*."""
    owners = groups.codes[pairs.members] if pairs.size else np.empty(0, np.int64)
    order = np.argsort(owners, kind="stable")
    return listed(values.take(pa.array(pairs.members[order])), counts[order], owners[order], groups.size)


def listed(values: Array, counts: Ints, owners: Ints, size: int) -> Array:
    """Values and counts, by ascending group, as one list for each of *size* groups."""
    entries = pa.StructArray.from_arrays([plain(values), pa.array(counts)], ["value", "count"])
    return pa.ListArray.from_arrays(pa.array(bounds(owners, size), pa.int32()), entries)


def bounds(owners: Ints, size: int) -> Ints:
    """Where each group begins among *owners*, once they are sorted, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=size))])


def flat(lists: Array) -> tuple[Array, Ints, Ints]:
    """All values of all groups, how often each occurs, and the number of its group."""
    entries = lists.flatten()
    values, counts = entries.flatten()
    return values, raw(counts), np.repeat(np.arange(len(lists)), np.asarray(pc.list_value_length(lists)))


VALUES = State(
    name="v",
    columns={"": "list<item: struct<value: own, count: int64>>"},
    identity=None,
    partial=_tally,
    combine=_merge,
    growing=True,
)
