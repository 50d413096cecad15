"""What is made of a group's distinct values and their counts: nunique, mode, median, quantile."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.kernels.arrays import Array, Floats, Ints, Mask, arrow_type, build, raw
from worker_service.kernels.decimals import decimal_quotient
from worker_service.kernels.declaration import Ending, Kernel, keeps
from worker_service.kernels.exact import Limbs, add, carry, multiply, sum_parts
from worker_service.kernels.grouping import Groups
from worker_service.kernels.order import least, ordered
from worker_service.kernels.rounding import denominator, quotient
from worker_service.kernels.sums import parts_of
from worker_service.kernels.values import VALUES, flat


def _end_nunique(ending: Ending) -> Array:
    return pc.list_value_length(ending.states["v"][""]).cast(pa.int64())


def _end_mode(ending: Ending) -> Array:
    lists = ending.states["v"][""]
    values, counts, owners = flat(lists)
    return values.take(least(Groups(owners, len(lists)), ~counts, ordered(values)))


def _end_quantile(ending: Ending) -> Array:
    """The value at (n - 1) * q of the n sorted values, on the straight line between two of them.

    Exact, then rounded once.

    *q* is the decimal fraction that the spec shows, 19/20 for 0.95, not the double nearest to it.
    """
    lists, result = ending.states["v"][""], ending.aggregate.result
    values, counts, owners = flat(lists)
    size, q = len(lists), Fraction(Decimal(repr(ending.aggregate.q)))
    if not len(values):
        return pa.nulls(size, arrow_type(result))
    order = np.lexsort((ordered(values), owners))
    ends = np.cumsum(counts[order])
    first = np.concatenate([[0], ends])[np.searchsorted(owners[order], np.arange(size + 1))]
    n = np.diff(first)
    at, rest = _position(n, q)
    below, above = (
        values.take(pa.array(order[np.searchsorted(ends, _within(first, n, place), "right")]))
        for place in (at, at + (rest > 0))
    )
    total = carry(add(_weighed(below, q.denominator - rest), _weighed(above, rest)))
    if result.kind == "decimal":
        places = result.scale - ending.aggregate.inputs[0].type.scale
        return decimal_quotient(total, np.full(size, q.denominator), places, result, n > 0)
    line = quotient(total, denominator([np.ones(size, np.int64)], q.denominator))
    return build(pa.float64(), _with_infinite(line, below, above), n > 0)


def _position(n: Ints, q: Fraction) -> tuple[Ints, Ints]:
    """(n - 1) * q as its whole part and the numerator of what is left; in Python's integers, once for each n."""
    sizes, which = np.unique(n, return_inverse=True)
    found = [divmod(max(size - 1, 0) * q.numerator, q.denominator) for size in sizes.tolist()]
    whole, rest = np.array(found, np.int64).T
    return whole[which], rest[which]


def _within(first: Ints, n: Ints, at: Ints) -> Ints:
    """The place among all sorted values; any place for a group without values."""
    return np.where(n > 0, first[:-1] + at, 0)


def _weighed(values: Array, weights: Ints) -> Limbs:
    """Value * weight, exactly; of a value that is not finite, 0."""
    parts = parts_of(values)
    finite = {
        j: np.where(np.isfinite(part), part, 0) if part.dtype.kind == "f" else part
        for j, part in parts.items()
    }
    return multiply(sum_parts(finite, np.arange(len(values)), len(values)), carry({0: weights}))


def _with_infinite(line: Floats, below: Array, above: Array) -> Floats:
    """A line to or from an infinity is that infinity, one between both is NaN, and so is one that meets NaN."""
    low, high = raw(below).astype(np.float64), raw(above).astype(np.float64)
    odd: Mask = ~(np.isfinite(low) & np.isfinite(high))
    with np.errstate(invalid="ignore"):
        return np.where(odd, low / 2 + high / 2, line) + 0.0


DISTRIBUTIONS = (
    Kernel(name="nunique", states=keeps(VALUES), finalize=_end_nunique),
    Kernel(name="mode", states=keeps(VALUES), finalize=_end_mode),
    Kernel(name="median", states=keeps(VALUES), finalize=_end_quantile),
    Kernel(name="quantile", states=keeps(VALUES), finalize=_end_quantile),
)
