"""The k values at one end of a group's order: top, bottom.

The state is that of `values`, cut to them after every step.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa

from shared.spec.query import Aggregate
from worker_service.kernels.arrays import Array
from worker_service.kernels.declaration import Columns, Ending, Kernel, Rows, State
from worker_service.kernels.grouping import Groups
from worker_service.kernels.order import ordered
from worker_service.kernels.values import VALUES, bounds, flat, listed


def _cut(columns: Columns, k: int, *, largest: bool) -> Columns:
    """The first *k* values of each group, sorted; of the last of them as many as there is room for."""
    lists = columns[""]
    values, counts, owners = flat(lists)
    keys = ordered(values)
    order = np.lexsort((~keys if largest else keys, owners))
    counts, owners = counts[order], owners[order]
    before = np.cumsum(counts) - counts
    before -= np.append(before, 0)[bounds(owners, len(lists))[:-1]][owners]
    kept = before < k
    return {
        "": listed(
            values.take(pa.array(order[kept])), np.minimum(counts, k - before)[kept], owners[kept], len(lists)
        )
    }


def _best(rows: Rows, k: int, *, largest: bool) -> Rows:
    """The *k* rows of each group that come first: sorting is cheaper than counting all values."""
    (values,), codes = rows.values, rows.groups.codes
    keys = ordered(values)
    order = np.lexsort((~keys if largest else keys, codes))
    places = np.arange(len(order)) - bounds(codes, rows.groups.size)[codes[order]]
    kept = order[places < k]
    return Rows((values.take(pa.array(kept)),), Groups(codes[kept], rows.groups.size), None, rows.first)


@cache
def _state(k: int, *, largest: bool) -> State:
    return State(
        name=f"{'top' if largest else 'bottom'}{k}",
        columns=VALUES.columns,
        identity=None,
        partial=lambda rows: _cut(VALUES.partial(_best(rows, k, largest=largest)), k, largest=largest),
        combine=lambda columns, groups: _cut(VALUES.combine(columns, groups), k, largest=largest),
    )


def _end(ending: Ending) -> Array:
    """One array a group, null where there is no value."""
    (columns,) = ending.states.values()
    lists = columns[""]
    values, counts, owners = flat(lists)
    every = np.repeat(np.arange(len(values)), counts)
    places = bounds(owners[every], len(lists))
    return pa.ListArray.from_arrays(
        pa.array(places, pa.int32()), values.take(pa.array(every)), mask=pa.array(np.diff(places) == 0)
    )


def _of(*, largest: bool) -> Callable[[Aggregate], tuple[State, ...]]:
    return lambda aggregate: (_state(aggregate.k, largest=largest),)


RANKED = (
    Kernel(name="top", states=_of(largest=True), finalize=_end),
    Kernel(name="bottom", states=_of(largest=False), finalize=_end),
)
