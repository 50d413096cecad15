"""Functions of a group's distinct values and their counts: nunique, mode, median, quantile."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker_service.arrow import Array, Floats, Ints, Mask, arrow_type, from_numbers, numbers_of
from worker_service.kernels.aggregates.declaration import Combined, Kernel, keeps
from worker_service.kernels.aggregates.order import least_row, sort_keys
from worker_service.kernels.aggregates.sums import parts_of
from worker_service.kernels.aggregates.values import VALUES, flattened
from worker_service.kernels.exact.decimals import decimal_quotient
from worker_service.kernels.exact.limbs import Limbs, add, carry, multiply
from worker_service.kernels.exact.rounding import denominator, quotient
from worker_service.kernels.exact.summation import sum_parts
from worker_service.kernels.grouping import Groups


def _finalize_nunique(combined: Combined) -> Array:
    return pc.list_value_length(combined.column(VALUES)).cast(pa.int64())


def _finalize_mode(combined: Combined) -> Array:
    lists = combined.column(VALUES)
    values, counts, owners = flattened(lists)
    return values.take(least_row(Groups(owners, len(lists)), ~counts, sort_keys(values)))


def _finalize_quantile(combined: Combined) -> Array:
    """The value at position (n - 1) * q of the n sorted values, on the straight line between two of them.

    Exact, then rounded once. *q* is the decimal fraction that the spec shows, 19/20 for 0.95, not the double
    nearest to it.
    """
    lists, result = combined.column(VALUES), combined.aggregate.result
    values, counts, owners = flattened(lists)
    size, q = len(lists), Fraction(Decimal(repr(combined.aggregate.q)))
    if not len(values):
        return pa.nulls(size, arrow_type(result))
    order = np.lexsort((sort_keys(values), owners))
    ends = np.cumsum(counts[order])
    first = np.concatenate([[0], ends])[np.searchsorted(owners[order], np.arange(size + 1))]
    n = np.diff(first)
    at, rest = _position(n, q)
    below, above = (
        values.take(pa.array(order[np.searchsorted(ends, _overall(first, n, position), "right")]))
        for position in (at, at + (rest > 0))
    )
    total = carry(add(_weighed(below, q.denominator - rest), _weighed(above, rest)))
    if result.kind == "decimal":
        digits = result.scale - combined.aggregate.inputs[0].type.scale
        return decimal_quotient(total, np.full(size, q.denominator), digits, result, n > 0)
    line = quotient(total, denominator([np.ones(size, np.int64)], q.denominator))
    return from_numbers(pa.float64(), _with_infinite(line, below, above), n > 0)


def _position(n: Ints, q: Fraction) -> tuple[Ints, Ints]:
    """(n - 1) * q as its whole part and the numerator of the rest; in Python's integers, once for each n."""
    sizes, which = np.unique(n, return_inverse=True)
    found = [divmod(max(size - 1, 0) * q.numerator, q.denominator) for size in sizes.tolist()]
    whole, rest = np.array(found, np.int64).T
    return whole[which], rest[which]


def _overall(first: Ints, n: Ints, at: Ints) -> Ints:
    """The position among the sorted values of all groups; arbitrary for a group without values."""
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
    """A line to or from an infinity is that infinity; between both, or to or from NaN, it is NaN."""
    low, high = numbers_of(below).astype(np.float64), numbers_of(above).astype(np.float64)
    odd: Mask = ~(np.isfinite(low) & np.isfinite(high))
    with np.errstate(invalid="ignore"):
        return np.where(odd, low / 2 + high / 2, line) + 0.0


DISTRIBUTIONS = (
    Kernel(name="nunique", states=keeps(VALUES), finalize=_finalize_nunique),
    Kernel(name="mode", states=keeps(VALUES), finalize=_finalize_mode),
    Kernel(name="median", states=keeps(VALUES), finalize=_finalize_quantile),
    Kernel(name="quantile", states=keeps(VALUES), finalize=_finalize_quantile),
)
