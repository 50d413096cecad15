"""Sums and what is made of them: sum, mean, var, std. States are exact (see `exact`), results are rounded once (see `rounding`)."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pyarrow as pa

from worker_service.kernels.arrays import Array, Floats, Ints, Mask, arrow_type, build, build_wide, raw
from worker_service.kernels.basic import COUNT
from worker_service.kernels.declaration import Columns, Ending, Kernel, State
from worker_service.kernels.exact import (
    Limbs,
    add,
    carry,
    multiply,
    negate,
    sum_digits,
    sum_float_squares,
    sum_floats,
    sum_int_squares,
    sum_ints,
)
from worker_service.kernels.grouping import Groups
from worker_service.kernels.rounding import Denominator, denominator, integer, quotient, root_of_quotient, rounded

_SPECIAL: dict[str, Callable[[Floats], Mask]] = {"nan": np.isnan, "pinf": np.isposinf, "ninf": np.isneginf}
"""Counted apart from the limbs, under these suffixes."""
_SAFE = 1 << 62


def _sums(values: Array, groups: Groups) -> Columns:
    return _state(values, groups, sum_ints, sum_floats)


def _squares(values: Array, groups: Groups) -> Columns:
    return _state(values, groups, sum_int_squares, sum_float_squares)


def _state(
    values: Array, groups: Groups, of_ints: Callable[[Ints, Ints, int], Limbs], of_floats: Callable[[Floats, Ints, int], Limbs]
) -> Columns:
    numbers, codes = raw(values), groups.codes
    if not pa.types.is_floating(values.type):
        return _columns(of_ints(numbers, codes, groups.size))
    if not len(numbers) or (np.isfinite(numbers.max()) and np.isfinite(numbers.min())):
        return _columns(of_floats(numbers, codes, groups.size))
    finite = np.isfinite(numbers)
    special = {name: np.bincount(codes[test(numbers)], minlength=groups.size) for name, test in _SPECIAL.items()}
    counted = {name: pa.array(counts.astype(np.int64)) for name, counts in special.items() if counts.any()}
    return {**_columns(of_floats(numbers[finite], codes[finite], groups.size)), **counted}


def _columns(limbs: Limbs) -> Columns:
    return {str(j): pa.array(digits.astype(np.int32)) for j, digits in limbs.items()}


def _limbs(columns: Columns) -> Limbs:
    return {int(suffix): raw(column) for suffix, column in columns.items() if suffix not in _SPECIAL}


def _add_sums(columns: Columns, groups: Groups) -> Columns:
    totals = {suffix: sum_digits(raw(column), groups.codes, groups.size) for suffix, column in columns.items()}
    special = {suffix: pa.array(total) for suffix, total in totals.items() if suffix in _SPECIAL}
    return {**_columns(carry({int(suffix): total for suffix, total in totals.items() if suffix not in _SPECIAL})), **special}


SUM = State(name="s", dtype="int32", identity=0, partial=_sums, combine=_add_sums)
SQUARES = State(name="q", dtype="int32", identity=0, partial=_squares, combine=_add_sums)


def _end_sum(ending: Ending) -> Array:
    counts, result = raw(ending.states["n"][""]), ending.aggregate.result
    present = None if ending.semantics == "pandas" else counts > 0
    limbs = _limbs(ending.states["s"])
    if result.kind == "float64":
        return build(pa.float64(), _with_special(rounded(limbs, len(counts)), ending.states["s"]), present)
    low, high = _words(limbs, len(counts))
    if result.kind == "int64" and (high == low.view(np.int64) >> 63).all():
        return build(pa.int64(), low.view(np.int64), present)
    return build_wide(pa.decimal128(38, result.scale), low, high, present)


def _words(limbs: Limbs, size: int) -> tuple["np.ndarray[tuple[int], np.dtype[np.uint64]]", Ints]:
    """Integer sums as 128-bit two's complement: (low word, high word)."""
    over, words = np.zeros(size, np.int64), []
    for j in range(4):
        digits = limbs.get(j, 0) + over
        over = digits >> 32
        words.append(digits & 0xFFFF_FFFF)
    return (words[0] | (words[1] << 32)).view(np.uint64), words[2] | (words[3] << 32)


def _with_special(numbers: Floats, sums: Columns) -> Floats:
    """NaN where a NaN or both infinities went in, an infinity where one did."""
    nan, plus, minus = (raw(sums[name]) > 0 if name in sums else np.zeros(len(numbers), np.bool_) for name in _SPECIAL)
    numbers[plus], numbers[minus] = np.inf, -np.inf
    numbers[nan | (plus & minus)] = np.nan
    return numbers


def _end_mean(ending: Ending) -> Array:
    counts, limbs = raw(ending.states["n"][""]), _limbs(ending.states["s"])
    present, by = counts > 0, np.maximum(counts, 1)
    if ending.aggregate.result.kind == "decimal":
        return _decimal_mean(ending, limbs, by, present)
    # halving is exact, so a mean of two, four, ... values is their rounded sum divided; such ties would else all take the slow road
    means = rounded(limbs, len(by)) / by
    hard = np.flatnonzero((by & (by - 1) != 0) | (np.abs(means) < 2.0**-1000) | np.isinf(means))
    means[hard] = quotient({j: digits[hard] for j, digits in limbs.items()}, denominator(by[hard], np.ones_like(hard)))
    return build(pa.float64(), _with_special(means, ending.states["s"]), present)


def _scale(ending: Ending) -> int:
    """What a decimal's scaled integers are to be divided by; 1 for other types."""
    kind = ending.aggregate.type
    return 10**kind.scale if kind is not None and kind.kind == "decimal" else 1


def _decimal_mean(ending: Ending, limbs: Limbs, by: Ints, present: Mask) -> Array:
    """Half-even at the result's scale, in int64 where everything fits, else with Python's integers."""
    kind = arrow_type(ending.aggregate.result)
    assert ending.aggregate.type is not None
    digits = 10 ** (ending.aggregate.result.scale - ending.aggregate.type.scale)
    low, high = _words(limbs, len(by))
    total = low.view(np.int64)
    whole, rest = np.divmod(total, by)
    part, left = np.divmod(rest * digits, by)
    part += (2 * left > by) | ((2 * left == by) & (part & 1 == 1))
    mean = whole * digits + part
    slow = (high != total >> 63) | (np.abs(whole) >= _SAFE // digits) | (by >= _SAFE // digits)
    words, tops = mean.view(np.uint64), mean >> 63
    for row in np.flatnonzero(slow).tolist():
        exact = round(Fraction(integer(limbs, row)[0] * digits, int(by[row])))
        words[row], tops[row] = exact & 0xFFFF_FFFF_FFFF_FFFF, exact >> 64
    return build_wide(kind, words, tops, present)


def _spread(ending: Ending) -> tuple[Limbs, Ints, Ints]:
    """The variance as an exact numerator, n * sum of squares - square of the sum, and its denominator's factors n and n - ddof."""
    counts, ddof = raw(ending.states["n"][""]), ending.aggregate.ddof
    sums = _limbs(ending.states["s"])
    squares = multiply(_limbs(ending.states["q"]), carry({0: counts}))
    return carry(add(squares, negate(multiply(sums, sums)))), np.maximum(counts, 1), np.maximum(counts - ddof, 1)


def _end_spread(ending: Ending, finish: Callable[[Limbs, Denominator], Floats]) -> Array:
    counts = raw(ending.states["n"][""])
    limbs, n, rest = _spread(ending)
    results = finish(limbs, denominator(n, rest, _scale(ending) ** 2))
    special = np.zeros(len(counts), np.bool_)
    for name in _SPECIAL:
        if name in ending.states["s"]:
            special |= raw(ending.states["s"][name]) > 0
    results[special] = np.nan
    return build(pa.float64(), results, counts > ending.aggregate.ddof)


MOMENTS = (
    Kernel(name="sum", states=(COUNT, SUM), finalize=_end_sum),
    Kernel(name="mean", states=(COUNT, SUM), finalize=_end_mean),
    Kernel(name="var", states=(COUNT, SUM, SQUARES), finalize=lambda ending: _end_spread(ending, quotient)),
    Kernel(name="std", states=(COUNT, SUM, SQUARES), finalize=lambda ending: _end_spread(ending, root_of_quotient)),
)
