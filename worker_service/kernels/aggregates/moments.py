"""Functions of the count and the exact power sums of one column: count, sum, mean, var, std, sem.

A variance comes from the sums alone: N * (sum of squares) - (sum)**2 is an exact integer, so nothing cancels.
Each result is rounded once (see `exact.rounding`).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from worker_service.arrow import Array, Floats, Ints, from_numbers
from worker_service.kernels.aggregates.declaration import Columns, Combined, Kernel, keeps
from worker_service.kernels.aggregates.special import SPECIAL
from worker_service.kernels.aggregates.sums import (
    COUNT,
    SQUARES,
    SUM,
    counts_of,
    has_special,
    limbs_of,
)
from worker_service.kernels.exact.decimals import decimal_quotient, exact_decimals
from worker_service.kernels.exact.limbs import Limbs, add, carry, low_words, multiply, negate
from worker_service.kernels.exact.rounding import (
    Denominator,
    denominator,
    quotient,
    root_of_quotient,
    rounded,
)


def _finalize_count(combined: Combined) -> Array:
    return combined.column(COUNT) if combined.aggregate.inputs else combined.rows


def _finalize_sum(combined: Combined) -> Array:
    """An int64 sum that some group has no room for makes the column decimal(38,0)."""
    counts, sums, result = counts_of(combined), combined.states[SUM], combined.aggregate.result
    present, limbs = None if combined.semantics == "pandas" else counts > 0, limbs_of(sums)
    if result.kind == "float64":
        return from_numbers(pa.float64(), _with_special(rounded(limbs, len(counts)), sums), present)
    if result.kind == "int64":
        low, high = low_words(limbs, len(counts))
        if (high == low.view(np.int64) >> 63).all():
            return from_numbers(pa.int64(), low.view(np.int64), present)
    return exact_decimals(limbs, len(counts), result, present)


def _with_special(numbers: Floats, sums: Columns) -> Floats:
    """NaN where a NaN or both infinities are among the values, an infinity where one of them is."""
    nan, plus, minus = (has_special(sums, len(numbers), name) for name in SPECIAL)
    numbers[plus], numbers[minus] = np.inf, -np.inf
    numbers[nan | (plus & minus)] = np.nan
    return numbers


def _finalize_mean(combined: Combined) -> Array:
    counts, sums, result = counts_of(combined), combined.states[SUM], combined.aggregate.result
    limbs, present, by = limbs_of(sums), counts > 0, np.maximum(counts, 1)
    if result.kind == "decimal":
        digits = result.scale - combined.aggregate.inputs[0].type.scale
        return decimal_quotient(limbs, by, digits, result, present)
    # halving is exact, so a mean of two, four, ... values is their rounded sum divided; `quotient` would find
    # a tie in each of them and compute it with Python's integers
    means = rounded(limbs, len(by)) / by
    hard = np.flatnonzero((by & (by - 1) != 0) | (np.abs(means) < 2.0**-1000) | np.isinf(means))
    means[hard] = quotient({j: digits[hard] for j, digits in limbs.items()}, denominator([by[hard]]))
    return from_numbers(pa.float64(), _with_special(means, sums), present)


def co_moment(counts: Ints, products: Limbs, left: Limbs, right: Limbs) -> Limbs:
    """N * (sum of products) - (sum of left) * (sum of right), exactly.

    It is N**2 times the covariance of a population of N.
    """
    return carry(add(multiply(products, carry({0: counts})), negate(multiply(left, right))))


def scale_of(combined: Combined, at: int) -> int:
    """By this the scaled integers of a decimal input are divided; 1 for other types."""
    return int(10 ** combined.aggregate.inputs[at].type.scale)


def _finalize_spread(
    combined: Combined,
    divisors: Callable[[Ints, int], Sequence[Ints]],
    finish: Callable[[Limbs, Denominator], Floats],
) -> Array:
    counts, ddof, sums = counts_of(combined), combined.aggregate.ddof, combined.states[SUM]
    limbs = limbs_of(sums)
    moment = co_moment(counts, limbs_of(combined.states[SQUARES]), limbs, limbs)
    by = [np.maximum(count, 1) for count in divisors(counts, ddof)]
    results = finish(moment, denominator(by, scale_of(combined, 0) ** 2))
    for name in SPECIAL:
        results[has_special(sums, len(counts), name)] = np.nan
    return from_numbers(pa.float64(), results, counts > ddof)


def _spread(n: Ints, ddof: int) -> Sequence[Ints]:
    return n, n - ddof


def _spread_of_mean(n: Ints, ddof: int) -> Sequence[Ints]:
    return n, n, n - ddof


_POWERS = (COUNT, SUM, SQUARES)

MOMENTS = (
    Kernel(name="count", states=keeps(COUNT), finalize=_finalize_count),
    Kernel(name="sum", states=keeps(COUNT, SUM), finalize=_finalize_sum),
    Kernel(name="mean", states=keeps(COUNT, SUM), finalize=_finalize_mean),
    Kernel(
        name="var",
        states=keeps(*_POWERS),
        finalize=lambda combined: _finalize_spread(combined, _spread, quotient),
    ),
    Kernel(
        name="std",
        states=keeps(*_POWERS),
        finalize=lambda combined: _finalize_spread(combined, _spread, root_of_quotient),
    ),
    Kernel(
        name="sem",
        states=keeps(*_POWERS),
        finalize=lambda combined: _finalize_spread(combined, _spread_of_mean, root_of_quotient),
    ),
)
