"""What is made of one column's exact sums (see `sums`): sum, mean, var, std, sem.

Each is rounded once (see `rounding`).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from worker_service.kernels.arrays import Array, Floats, Ints, build, raw
from worker_service.kernels.basic import COUNT
from worker_service.kernels.decimals import decimal_quotient, exact_decimals, words_of
from worker_service.kernels.declaration import Columns, Ending, Kernel, keeps
from worker_service.kernels.exact import Limbs, add, carry, multiply, negate
from worker_service.kernels.rounding import Denominator, denominator, quotient, root_of_quotient, rounded
from worker_service.kernels.sums import SPECIAL, SQUARES, SUM, limbs_of, of_special


def _end_sum(ending: Ending) -> Array:
    counts, result = raw(ending.states["n"][""]), ending.aggregate.result
    present = None if ending.semantics == "pandas" else counts > 0
    limbs = limbs_of(ending.states["s"])
    if result.kind == "float64":
        return build(pa.float64(), with_special(rounded(limbs, len(counts)), ending.states["s"]), present)
    if result.kind == "int64":
        low, high = words_of(limbs, len(counts))
        if (high == low.view(np.int64) >> 63).all():
            return build(pa.int64(), low.view(np.int64), present)
    return exact_decimals(limbs, len(counts), result, present)


def with_special(numbers: Floats, sums: Columns) -> Floats:
    """NaN where a NaN or both infinities went in, an infinity where one did."""
    nan, plus, minus = (of_special(sums, len(numbers), name) for name in SPECIAL)
    numbers[plus], numbers[minus] = np.inf, -np.inf
    numbers[nan | (plus & minus)] = np.nan
    return numbers


def _end_mean(ending: Ending) -> Array:
    counts, limbs, result = raw(ending.states["n"][""]), limbs_of(ending.states["s"]), ending.aggregate.result
    present, by = counts > 0, np.maximum(counts, 1)
    if result.kind == "decimal":
        return decimal_quotient(
            limbs, by, result.scale - ending.aggregate.inputs[0].type.scale, result, present
        )
    # halving is exact, so a mean of two, four, ... values is their rounded sum divided; such ties would else
    # all take the slow road
    means = rounded(limbs, len(by)) / by
    hard = np.flatnonzero((by & (by - 1) != 0) | (np.abs(means) < 2.0**-1000) | np.isinf(means))
    means[hard] = quotient({j: digits[hard] for j, digits in limbs.items()}, denominator([by[hard]]))
    return build(pa.float64(), with_special(means, ending.states["s"]), present)


def co_moment(counts: Ints, products: Limbs, left: Limbs, right: Limbs) -> Limbs:
    """N * sum of products - sum of the one * sum of the other, exactly: n * n times the covariance of a population."""
    return carry(add(multiply(products, carry({0: counts})), negate(multiply(left, right))))


def scale_of(ending: Ending, at: int) -> int:
    """What the scaled integers of a decimal input are to be divided by; 1 for other types."""
    return int(10 ** ending.aggregate.inputs[at].type.scale)


def _end_spread(
    ending: Ending,
    divisors: Callable[[Ints, int], Sequence[Ints]],
    finish: Callable[[Limbs, Denominator], Floats],
) -> Array:
    counts, ddof = raw(ending.states["n"][""]), ending.aggregate.ddof
    sums = limbs_of(ending.states["s"])
    moment = co_moment(counts, limbs_of(ending.states["q"]), sums, sums)
    by = [np.maximum(count, 1) for count in divisors(counts, ddof)]
    results = finish(moment, denominator(by, scale_of(ending, 0) ** 2))
    for name in SPECIAL:
        results[of_special(ending.states["s"], len(counts), name)] = np.nan
    return build(pa.float64(), results, counts > ddof)


def _spread(n: Ints, ddof: int) -> Sequence[Ints]:
    return n, n - ddof


def _spread_of_mean(n: Ints, ddof: int) -> Sequence[Ints]:
    return n, n, n - ddof


_POWERS = (COUNT, SUM, SQUARES)

MOMENTS = (
    Kernel(name="sum", states=keeps(COUNT, SUM), finalize=_end_sum),
    Kernel(name="mean", states=keeps(COUNT, SUM), finalize=_end_mean),
    Kernel(
        name="var", states=keeps(*_POWERS), finalize=lambda ending: _end_spread(ending, _spread, quotient)
    ),
    Kernel(
        name="std",
        states=keeps(*_POWERS),
        finalize=lambda ending: _end_spread(ending, _spread, root_of_quotient),
    ),
    Kernel(
        name="sem",
        states=keeps(*_POWERS),
        finalize=lambda ending: _end_spread(ending, _spread_of_mean, root_of_quotient),
    ),
)
