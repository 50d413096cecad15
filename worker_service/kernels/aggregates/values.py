"""The state that keeps values: every distinct value of a group, and how often it occurs.

A group's values are one list of (value, count) in its row of a table of states. So they are encoded, stored
and merged with the group.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Ints, canonical, numbers_of, without_dictionary
from worker_service.kernels.aggregates.declaration import Columns, Rows, State
from worker_service.kernels.exact.summation import sums_by_group
from worker_service.kernels.grouping import Groups, group


def _partial(rows: Rows) -> Columns:
    values = canonical(rows.values[0])
    distinct = _distinct(values, rows.groups.codes)
    return {"": _lists(values, rows.groups, distinct, distinct.counts)}


def _combine(columns: Columns, groups: Groups) -> Columns:
    values, counts, owners = flattened(columns[""])
    members = Groups(groups.codes[owners], groups.size)
    distinct = _distinct(values, members.codes)
    return {"": _lists(values, members, distinct, sums_by_group(counts, distinct.codes, distinct.size))}


def _distinct(values: Array, codes: Ints) -> Groups:
    """The values grouped by their group and themselves."""
    return group([pa.array(codes), values], len(codes))


def _lists(values: Array, groups: Groups, distinct: Groups, counts: Ints) -> Array:
    """For each group the list of its distinct values with their *counts*."""
    owners = groups.codes[distinct.members] if distinct.size else np.empty(0, np.int64)
    order = np.argsort(owners, kind="stable")
    return as_lists(values.take(pa.array(distinct.members[order])), counts[order], owners[order], groups.size)


def as_lists(values: Array, counts: Ints, owners: Ints, size: int) -> Array:
    """One list of (value, count) for each of *size* groups; *owners*, the groups of the values, ascend."""
    entries = pa.StructArray.from_arrays([without_dictionary(values), pa.array(counts)], ["value", "count"])
    return pa.ListArray.from_arrays(pa.array(group_bounds(owners, size), pa.int32()), entries)


def group_bounds(owners: Ints, size: int) -> Ints:
    """Where each group begins among *owners*, once they are sorted, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=size))])


def flattened(lists: Array) -> tuple[Array, Ints, Ints]:
    """The inverse of `as_lists`: (values, counts, owners), one entry for each value of each group."""
    entries = lists.flatten()
    values, counts = entries.flatten()
    owners = np.repeat(np.arange(len(lists)), np.asarray(pc.list_value_length(lists)))
    return values, numbers_of(counts), owners


VALUES = State(
    name="v",
    columns={"": "list<item: struct<value: own, count: int64>>"},
    identity=None,
    partial=_partial,
    combine=_combine,
    growing=True,
)
