"""The k values at one end of a group's order: top, bottom.

The state is that of `values`, cut to these k after every step.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa

from shared.spec.query import Aggregate
from worker_service.arrow import Array
from worker_service.kernels.aggregates.declaration import Columns, Combined, Kernel, Rows, State
from worker_service.kernels.aggregates.kept import (
    Kept,
    Runs,
    Sorted,
    distinct,
    repeated,
    shortest,
    sort,
)
from worker_service.kernels.aggregates.order import ordered
from worker_service.kernels.aggregates.running_values import start_first, start_waiting
from worker_service.kernels.aggregates.values import COLUMNS, as_columns, collected, stored
from worker_service.kernels.grouping import Groups
from worker_service.native import library

_FEW = 16
"""Up to so many values of a group are held in place."""


def cut(values: Sorted, k: int) -> Sorted:
    """The first *k* values of each group; the count of the last of them is cut too."""
    if values.counts is None:
        return _cut_keys(values, k)
    values = distinct(values)
    assert values.counts is not None
    ends = np.concatenate([[0], np.cumsum(values.counts)])
    before = ends[:-1] - np.repeat(ends[values.bounds[:-1]], np.diff(values.bounds))
    kept = before < k
    counts = np.minimum(values.counts, k - before)[kept]
    return Sorted(values.keys[kept], counts, np.concatenate([[0], np.cumsum(kept)])[values.bounds])


def _cut_keys(values: Sorted, k: int) -> Sorted:
    """The memory of *values* is used again."""
    if (native := library()) is not None:
        keys, bounds = values.keys, values.bounds
        kept = native.gm_cut(keys.ctypes.data, bounds.ctypes.data, len(bounds) - 1, k, bounds.ctypes.data)
        return Sorted(keys[:kept], None, bounds)
    sizes = np.diff(values.bounds)
    first = np.arange(len(values.keys)) - np.repeat(values.bounds[:-1], sizes) < k
    return Sorted(values.keys[first], None, np.concatenate([[0], np.cumsum(np.minimum(sizes, k))]))


@cache
def _state(k: int, *, largest: bool) -> State:
    def partial(rows: Rows) -> Columns:
        keys, restore = ordered(rows.values[0], descending=largest)
        return as_columns(first_of([Runs(rows.groups.codes, None, keys)], rows.groups.size), restore)

    def combine(columns: Columns, groups: Groups) -> Columns:
        parts, restore = collected(columns, groups, largest=largest)
        return as_columns(first_of(parts, groups.size), restore)

    def first_of(parts: Sequence[Runs], size: int) -> Kept:
        return shortest(cut(sort(parts, size), k))

    return State(
        name=f"{'top' if largest else 'bottom'}{k}",
        columns=COLUMNS,
        identity=None,
        partial=partial,
        combine=combine,
        running=start_first(k, largest=largest) if k <= _FEW else start_waiting(first_of, largest=largest),
    )


def _kernel(name: str, *, largest: bool) -> Kernel:
    def state(aggregate: Aggregate) -> State:
        return _state(aggregate.k, largest=largest)

    return Kernel(
        name=name,
        states=lambda aggregate: (state(aggregate),),
        finalize=lambda combined: _arrays(combined, state(combined.aggregate)),
    )


def _arrays(combined: Combined, state: State) -> Array:
    """For each group the array of its values, each as often as it occurs; null without values."""
    values, counts, bounds = stored(combined.states[state])
    if counts is not None:
        every = repeated(Sorted(np.arange(len(values)), counts, bounds))
        values, bounds = values.take(pa.array(every.keys)), every.bounds
    empty = pa.array(np.diff(bounds) == 0)
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values, mask=empty)


RANKED = (_kernel("top", largest=True), _kernel("bottom", largest=False))
