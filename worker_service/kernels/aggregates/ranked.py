"""The k values at one end of a group's order: top, bottom.

The state is that of `values`, cut to these k after every step.
"""

from functools import cache

import numpy as np
import pyarrow as pa

from shared.spec.query import Aggregate
from worker_service.arrow import Array
from worker_service.kernels.aggregates.declaration import Columns, Kernel, Rows, State
from worker_service.kernels.aggregates.order import sort_keys
from worker_service.kernels.aggregates.values import VALUES, as_lists, flattened, group_bounds
from worker_service.kernels.grouping import Groups


def _cut(columns: Columns, k: int, *, largest: bool) -> Columns:
    """The first *k* values of each group, sorted; the count of the last of them is cut too."""
    lists = columns[""]
    values, counts, owners = flattened(lists)
    keys = sort_keys(values)
    order = np.lexsort((~keys if largest else keys, owners))
    counts, owners = counts[order], owners[order]
    before = np.cumsum(counts) - counts
    before -= np.append(before, 0)[group_bounds(owners, len(lists))[:-1]][owners]
    kept = before < k
    counts = np.minimum(counts, k - before)[kept]
    return {"": as_lists(values.take(pa.array(order[kept])), counts, owners[kept], len(lists))}


def _best(rows: Rows, k: int, *, largest: bool) -> Rows:
    """The *k* rows of each group that come first: sorting is cheaper than counting all values."""
    (values,), codes = rows.values, rows.groups.codes
    keys = sort_keys(values)
    order = np.lexsort((~keys if largest else keys, codes))
    ranks = np.arange(len(order)) - group_bounds(codes, rows.groups.size)[codes[order]]
    kept = order[ranks < k]
    return Rows(
        (values.take(pa.array(kept)),), Groups(codes[kept], rows.groups.size), None, rows.first_ordinal
    )


@cache
def _state(k: int, *, largest: bool) -> State:
    return State(
        name=f"{'top' if largest else 'bottom'}{k}",
        columns=VALUES.columns,
        identity=None,
        partial=lambda rows: _cut(VALUES.partial(_best(rows, k, largest=largest)), k, largest=largest),
        combine=lambda columns, groups: _cut(VALUES.combine(columns, groups), k, largest=largest),
    )


def _kernel(name: str, *, largest: bool) -> Kernel:
    def state(aggregate: Aggregate) -> State:
        return _state(aggregate.k, largest=largest)

    return Kernel(
        name=name,
        states=lambda aggregate: (state(aggregate),),
        finalize=lambda combined: _repeated(combined.column(state(combined.aggregate))),
    )


def _repeated(lists: Array) -> Array:
    """For each group the array of its values, each as often as it occurs; null without values."""
    values, counts, owners = flattened(lists)
    every = np.repeat(np.arange(len(values)), counts)
    bounds = group_bounds(owners[every], len(lists))
    return pa.ListArray.from_arrays(
        pa.array(bounds, pa.int32()), values.take(pa.array(every)), mask=pa.array(np.diff(bounds) == 0)
    )


RANKED = (_kernel("top", largest=True), _kernel("bottom", largest=False))
