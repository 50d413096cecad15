"""Counts and extremes."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from worker_service.kernels.arrays import Array, Ints, build, is_string, is_wide, plain, raw, valid
from worker_service.kernels.declaration import Columns, Ending, Kernel, Rows, State, keeps
from worker_service.kernels.exact import sum_digits
from worker_service.kernels.grouping import Groups
from worker_service.kernels.order import LARGEST, least, ordered, unflipped


def _count(rows: Rows) -> Columns:
    return {"": pa.array(rows.groups.counts)}


def _add_counts(columns: Columns, groups: Groups) -> Columns:
    return {"": pa.array(sum_digits(raw(columns[""]), groups.codes, groups.size))}


def _smallest(values: Array, groups: Groups) -> Columns:
    return {
        "": _least(values, groups) if _has_ranks(values) else _extreme(values, groups, np.minimum, LARGEST)
    }


def _greatest(values: Array, groups: Groups) -> Columns:
    return {
        "": _least(values, groups, -1)
        if _has_ranks(values)
        else _extreme(values, groups, np.maximum, ~LARGEST)
    }


def _has_ranks(values: Array) -> bool:
    return is_string(values) or is_wide(values)


def _least(values: Array, groups: Groups, sign: int = 1) -> Array:
    return plain(values.take(least(groups, sign * ordered(values))))


def _extreme(values: Array, groups: Groups, pick: "np.ufunc", start: int) -> Array:
    best: Ints = np.full(groups.size, start)
    pick.at(best, groups.codes, ordered(values))
    return build(
        values.type, unflipped(best) if pa.types.is_floating(values.type) else best, groups.counts > 0
    )


def _combined(extreme: Callable[[Array, Groups], Columns]) -> Callable[[Columns, Groups], Columns]:
    """Extremes of extremes are extremes; a group that had no value so far has a null."""

    def combine(columns: Columns, groups: Groups) -> Columns:
        values, present = columns[""], valid(columns[""])
        return (
            extreme(values, groups) if present is None else extreme(values.drop_null(), groups.only(present))
        )

    return combine


def _extreme_state(name: str, extreme: Callable[[Array, Groups], Columns]) -> State:
    return State(
        name=name,
        columns={"": "own"},
        identity=None,
        partial=lambda rows: extreme(rows.values[0], rows.groups),
        combine=_combined(extreme),
    )


COUNT = State(name="n", columns={"": "int64"}, identity=0, partial=_count, combine=_add_counts)
MIN, MAX = _extreme_state("min", _smallest), _extreme_state("max", _greatest)


def _end_count(ending: Ending) -> Array:
    return ending.states["n"][""] if ending.aggregate.inputs else ending.rows


def _truth(ending: Ending, extreme: str, *, of_nothing: bool) -> Array:
    """SQL's bool_or of nothing is null, pandas' any of nothing is False, and so is the opposite for all."""
    found = ending.states[extreme][""]
    return found.fill_null(of_nothing) if ending.semantics == "pandas" else found


BASIC = (
    Kernel(name="count", states=keeps(COUNT), finalize=_end_count),
    Kernel(name="min", states=keeps(MIN), finalize=lambda ending: ending.states["min"][""]),
    Kernel(name="max", states=keeps(MAX), finalize=lambda ending: ending.states["max"][""]),
    Kernel(name="any", states=keeps(MAX), finalize=lambda ending: _truth(ending, "max", of_nothing=False)),
    Kernel(name="all", states=keeps(MIN), finalize=lambda ending: _truth(ending, "min", of_nothing=True)),
)
