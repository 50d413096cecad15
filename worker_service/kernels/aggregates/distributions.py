"""Functions of a group's distinct values and their counts: nunique, mode, median, quantile."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa

from worker_service.arrow import Array, Floats, Ints, arrow_type, from_numbers, numbers_of
from worker_service.kernels.aggregates.declaration import Columns, Combined, Kernel, Rows, State, keeps
from worker_service.kernels.aggregates.kept import (
    Kept,
    Runs,
    Sorted,
    distinct,
    in_order,
    selected,
    shortest_of,
)
from worker_service.kernels.aggregates.order import Restore, comparable, least_row, ordered
from worker_service.kernels.aggregates.running_values import start_waiting
from worker_service.kernels.aggregates.sums import parts_of
from worker_service.kernels.aggregates.values import COLUMNS, as_columns, collected, stored
from worker_service.kernels.exact.decimals import decimal_quotient
from worker_service.kernels.exact.limbs import Limbs, add, carry, multiply
from worker_service.kernels.exact.rounding import denominator, quotient
from worker_service.kernels.exact.summation import sum_parts
from worker_service.kernels.grouping import Groups

_EXACT = 2.0**53
"""Integers below it are doubles."""


def _partial(rows: Rows) -> Columns:
    keys, restore = ordered(rows.values[0])
    return as_columns(shortest_of([Runs(rows.groups.codes, None, keys)], rows.groups.size), restore)


def _combine(columns: Columns, groups: Groups) -> Columns:
    parts, restore = collected(columns, groups)
    return as_columns(shortest_of(parts, groups.size), restore)


VALUES = State(
    name="v",
    columns=COLUMNS,
    identity=None,
    partial=_partial,
    combine=_combine,
    growing=True,
    running=start_waiting(shortest_of),
)


def _finalize_nunique(combined: Combined) -> Array:
    once, _ = _distinct(combined)
    return pa.array(np.diff(once.bounds))


def _finalize_mode(combined: Combined) -> Array:
    once, restore = _distinct(combined)
    size = len(once.bounds) - 1
    owners = np.repeat(np.arange(size), np.diff(once.bounds))
    assert once.counts is not None
    most = least_row(Groups(owners, size), ~once.counts, once.keys)
    return restore(once.keys).take(most)


def _distinct(combined: Combined) -> tuple[Sorted, Restore]:
    values, counts, bounds = stored(combined.states[VALUES])
    keys, restore = ordered(values)
    return distinct(in_order(Kept(keys, counts, bounds))), restore


def _finalize_quantile(combined: Combined) -> Array:
    """The value at position (n - 1) * q of the n sorted values, on the straight line between two of them.

    Exact, then rounded once. *q* is the decimal fraction that the spec shows, 19/20 for 0.95, not the double
    nearest to it.
    """
    result, q = combined.aggregate.result, Fraction(Decimal(repr(combined.aggregate.q)))
    values, counts, bounds = stored(combined.states[VALUES])
    if not len(values):
        return pa.nulls(len(bounds) - 1, arrow_type(result))
    below, above, rest, n = _neighbours(values, counts, bounds, q)
    if result.kind == "decimal":
        digits = result.scale - combined.aggregate.inputs[0].type.scale
        total = _line(below, above, rest, q)
        return decimal_quotient(total, np.full(len(n), q.denominator), digits, result, n > 0)
    return from_numbers(pa.float64(), _doubles(below, above, rest, q), n > 0)


def _neighbours(
    values: Array, counts: Ints | None, bounds: Ints, q: Fraction
) -> tuple[Array, Array, Ints, Ints]:
    """The values on both sides of each group's point, see `_position` for the rest, and the group's size."""
    if counts is None:
        n, (numbers, of_numbers) = np.diff(bounds), comparable(values)
        at, rest = _position(n, q)
        low, high = selected(numbers, bounds, at, rest > 0)
        return of_numbers(low), of_numbers(high), rest, n
    ends = np.cumsum(counts)
    first = np.concatenate([[0], ends])[bounds]
    n = np.diff(first)
    at, rest = _position(n, q)
    # arbitrary for a group without values
    places = (np.where(n > 0, first[:-1] + position, 0) for position in (at, at + (rest > 0)))
    below, above = (values.take(pa.array(np.searchsorted(ends, place, "right"))) for place in places)
    return below, above, rest, n


def _position(n: Ints, q: Fraction) -> tuple[Ints, Ints]:
    """(n - 1) * q as its whole part and the numerator of the rest; in Python's integers, once for each n."""
    sizes, which = np.unique(n, return_inverse=True)
    found = [divmod(max(size - 1, 0) * q.numerator, q.denominator) for size in sizes.tolist()]
    whole, rest = np.array(found, np.int64).T
    return whole[which], rest[which]


def _line(below: Array, above: Array, rest: Ints, q: Fraction) -> Limbs:
    """The value at *rest* of the way from *below* to *above*, times the denominator of *q*, exactly."""
    return carry(add(_weighed(below, q.denominator - rest), _weighed(above, rest)))


def _weighed(values: Array, weights: Ints) -> Limbs:
    """Value * weight, exactly; of a value that is not finite, 0."""
    parts = parts_of(values)
    finite = {
        j: np.where(np.isfinite(part), part, 0) if part.dtype.kind == "f" else part
        for j, part in parts.items()
    }
    return multiply(sum_parts(finite, np.arange(len(values)), len(values)), carry({0: weights}))


def _doubles(below: Array, above: Array, rest: Ints, q: Fraction) -> Floats:
    """The nearest doubles to the points of the lines.

    A value itself, and the middle of two, take at most one addition that rounds. Only the others, and large
    integers, go through limbs.
    """
    low, high = numbers_of(below).astype(np.float64), numbers_of(above).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        middle = (low + high) / 2
        # two finite doubles whose sum overflows are so large that each may be halved before
        middle = np.where(np.isinf(middle), low / 2 + high / 2, middle)
    points: Floats = np.where(rest == 0, low, middle) + 0.0
    exact = np.maximum(np.abs(low), np.abs(high)) < _EXACT if pa.types.is_integer(below.type) else True
    halfway = (rest == q.denominator - rest) & exact
    # a line to or from an infinity is that infinity; between both, or to or from NaN, it is NaN
    done = (rest == 0) | halfway | ~(np.isfinite(low) & np.isfinite(high))
    left = np.flatnonzero(~done)
    if len(left):
        low_end, high_end = (ends.take(pa.array(left)) for ends in (below, above))
        by = denominator([np.ones(len(left), np.int64)], q.denominator)
        points[left] = quotient(_line(low_end, high_end, rest[left], q), by)
    return points


DISTRIBUTIONS = (
    Kernel(name="nunique", states=keeps(VALUES), finalize=_finalize_nunique),
    Kernel(name="mode", states=keeps(VALUES), finalize=_finalize_mode),
    Kernel(name="median", states=keeps(VALUES), finalize=_finalize_quantile),
    Kernel(name="quantile", states=keeps(VALUES), finalize=_finalize_quantile),
)
