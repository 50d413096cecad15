"""The smallest and the largest value of a group: min, max, and any and all, which are those of bools."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from worker_service.arrow import (
    Array,
    Ints,
    from_numbers,
    validity,
    without_dictionary,
)
from worker_service.kernels.aggregates.declaration import Columns, Combined, Kernel, State, keeps
from worker_service.kernels.aggregates.order import LARGEST, doubles_of, has_ranks, least_row, sort_keys
from worker_service.kernels.aggregates.running import start_extreme
from worker_service.kernels.grouping import Groups


def _smallest(values: Array, groups: Groups) -> Array:
    if has_ranks(values):
        return _first_ranked(values, groups, sort_keys(values))
    return _extreme(values, groups, np.minimum, LARGEST)


def _largest(values: Array, groups: Groups) -> Array:
    if has_ranks(values):
        return _first_ranked(values, groups, ~sort_keys(values))
    return _extreme(values, groups, np.maximum, ~LARGEST)


def _first_ranked(values: Array, groups: Groups, ranks: Ints) -> Array:
    """A rank leads back to its value only by the row."""
    return without_dictionary(values.take(least_row(groups, ranks)))


def _extreme(values: Array, groups: Groups, pick: "np.ufunc", start: int) -> Array:
    best: Ints = np.full(groups.size, start)
    pick.at(best, groups.codes, sort_keys(values))
    numbers = doubles_of(best) if pa.types.is_floating(values.type) else best
    return from_numbers(values.type, numbers, groups.counts > 0)


def _state(name: str, extreme: Callable[[Array, Groups], Array], flip: int) -> State:
    """Extremes of extremes are extremes; a group that had no value so far has a null."""

    def combine(columns: Columns, groups: Groups) -> Columns:
        values, present = columns[""], validity(columns[""])
        if present is not None:
            values, groups = values.drop_null(), groups.only(present)
        return {"": extreme(values, groups)}

    return State(
        name=name,
        columns={"": "own"},
        identity=None,
        partial=lambda rows: {"": extreme(rows.values[0], rows.groups)},
        combine=combine,
        running=start_extreme(flip),
    )


MIN, MAX = _state("min", _smallest, 0), _state("max", _largest, -1)


def _finalize_truth(combined: Combined, state: State, *, of_nothing: bool) -> Array:
    """SQL's bool_or of no values is null, pandas' any of no values is False; likewise for all, with True."""
    found = combined.column(state)
    return found.fill_null(of_nothing) if combined.semantics == "pandas" else found


EXTREMES = (
    Kernel(name="min", states=keeps(MIN), finalize=lambda combined: combined.column(MIN)),
    Kernel(name="max", states=keeps(MAX), finalize=lambda combined: combined.column(MAX)),
    Kernel(
        name="any",
        states=keeps(MAX),
        finalize=lambda combined: _finalize_truth(combined, MAX, of_nothing=False),
    ),
    Kernel(
        name="all",
        states=keeps(MIN),
        finalize=lambda combined: _finalize_truth(combined, MIN, of_nothing=True),
    ),
)
