"""Counts and extremes."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.kernels.arrays import Array, Ints, build, canonical_floats, dictionary, is_string, raw, valid
from worker_service.kernels.declaration import Columns, Ending, Kernel, State
from worker_service.kernels.exact import sum_digits
from worker_service.kernels.grouping import Groups

_LARGEST = np.iinfo(np.int64).max


def _count(_: Array, groups: Groups) -> Columns:
    return {"": pa.array(groups.counts)}


def _add_counts(columns: Columns, groups: Groups) -> Columns:
    return {"": pa.array(sum_digits(raw(columns[""]), groups.codes, groups.size))}


def _smallest(values: Array, groups: Groups) -> Columns:
    return {"": _extreme(values, groups, np.minimum, _LARGEST)}


def _greatest(values: Array, groups: Groups) -> Columns:
    return {"": _extreme(values, groups, np.maximum, ~_LARGEST)}


def _extreme(values: Array, groups: Groups, pick: "np.ufunc", start: int) -> Array:
    """Every type is compared as int64 of the same order; strings by the rank of their UTF-8 bytes; NaN is above all numbers."""
    if is_string(values):
        return _extreme_string(values, groups, pick, start)
    numbers = _ordered(canonical_floats(raw(values)).view(np.int64)) if pa.types.is_floating(values.type) else raw(values)
    best = _pick(numbers, groups, pick, start)
    decoded = _ordered(best).view(np.float64) if pa.types.is_floating(values.type) else best
    return build(values.type, decoded, groups.counts > 0)


def _extreme_string(values: Array, groups: Groups, pick: "np.ufunc", start: int) -> Array:
    encoded = dictionary(values)
    order = np.asarray(pc.sort_indices(encoded.dictionary)).astype(np.int64)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    best = _pick(ranks[raw(encoded.indices)], groups, pick, start)
    present = groups.counts > 0
    places = order[np.where(present, best, 0)] if len(order) else np.zeros(groups.size, np.int64)
    return encoded.dictionary.take(pa.array(places, mask=~present)).cast(pa.utf8())


def _pick(numbers: Ints, groups: Groups, pick: "np.ufunc", start: int) -> Ints:
    best = np.full(groups.size, start, np.int64)
    pick.at(best, groups.codes, numbers)
    return best


def _ordered(bits: Ints) -> Ints:
    """The bits of doubles as integers of the same order, and back: negative ones are flipped."""
    return bits ^ ((bits >> 63) & _LARGEST)


def _combined(partial: Callable[[Array, Groups], Columns]) -> Callable[[Columns, Groups], Columns]:
    """Extremes of extremes are extremes; a group that had no value so far has a null."""

    def combine(columns: Columns, groups: Groups) -> Columns:
        values, present = columns[""], valid(columns[""])
        return partial(values, groups) if present is None else partial(values.drop_null(), groups.only(present))

    return combine


COUNT = State(name="n", dtype="int64", identity=0, partial=_count, combine=_add_counts)
MIN = State(name="min", dtype="own", identity=None, partial=_smallest, combine=_combined(_smallest))
MAX = State(name="max", dtype="own", identity=None, partial=_greatest, combine=_combined(_greatest))


def _end_count(ending: Ending) -> Array:
    return ending.rows if ending.aggregate.column is None else ending.states["n"][""]


BASIC = (
    Kernel(name="count", states=(COUNT,), finalize=_end_count),
    Kernel(name="min", states=(MIN,), finalize=lambda ending: ending.states["min"][""]),
    Kernel(name="max", states=(MAX,), finalize=lambda ending: ending.states["max"][""]),
)
