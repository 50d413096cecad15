"""Exact sums: integers and doubles as balanced digits in base 2**32 on one fixed grid, so that they add in any order.

`Limbs` maps a grid index j to one int64 digit a group; a group's value is the sum of digit * 2**(32 * j).
After `carry` every digit lies in [-2**31, 2**31), which makes the digits unique and lets a state store them
as int32; an absent index is zero.

Doubles are cut by the error-free extraction of Rump, Ogita and Oishi ("Accurate floating-point summation",
2008) with the fixed, absolute grid of Demmel and Nguyen's reproducible summation: adding and subtracting 1.5
* 2**(u + 52) rounds a double to a multiple of 2**u, the rest is exact. A slice is as wide as the number of
rows lets it be: as many slices add up without an error in a double, so `numpy.bincount` may add them, and
their sums are moved onto the grid.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker_service.kernels.arrays import Floats, Ints, Mask

BITS = 32
ROWS = 1 << 20
"""At most so many rows are summed at once, so that a slice has 33 bits or more."""
HUGE, TINY, SHIFT = 2.0**480, 2.0**-480, 20
"""Beyond these a double is first scaled by 2**(32 * SHIFT), which is exact, so that neither its square nor a slice leaves the range."""
_HALF, _MASK, _BLOCK = 1 << (BITS - 1), (1 << BITS) - 1, 1 << 15
_EXACT, _WIDEST, _LEAST = 53, 51, -1074
"""Bits that a double holds; those of a slice that two additions can cut off.

The exponent of the least double.
"""
_FACTOR = 3_037_000_499
"""The largest integer whose square fits 63 bits."""

Limbs: TypeAlias = dict[int, Ints]
Parts: TypeAlias = Mapping[int, NDArray[Any]]
"""Numbers, one a row: the sum of part * 2**(32 * j).

Doubles are one part; integers are one or, where they are large, several.
"""


def add(left: Limbs, right: Limbs, shift: int = 0) -> Limbs:
    """Left + right * 2**(32 * shift), not carried."""
    total = dict(left)
    for j, digits in right.items():
        total[j + shift] = total[j + shift] + digits if j + shift in total else digits
    return total


def negate(limbs: Limbs) -> Limbs:
    return {j: -digits for j, digits in limbs.items()}


def nonzero(limbs: Limbs, size: int) -> Mask:
    """Which carried sums are not zero."""
    return np.array(
        np.logical_or.reduce([np.zeros(size, np.bool_), *(digits != 0 for digits in limbs.values())])
    )


def carry(limbs: Limbs) -> Limbs:
    """Bring every digit into [-2**31, 2**31) and drop the indexes that are zero in every group.

    Digits may be up to 2**62 before.
    """
    done: Limbs = {}
    pending = dict(limbs)
    while pending:
        j = min(pending)
        digits = pending.pop(j)
        over = (digits + _HALF) >> BITS
        if over.any():
            digits = digits - (over << BITS)
            pending[j + 1] = pending[j + 1] + over if j + 1 in pending else over
        if digits.any():
            done[j] = digits
    return done


def multiply(left: Limbs, right: Limbs) -> Limbs:
    """The product of two carried numbers, carried.

    Every product of digits is cut in two before it is added, so nothing overflows.
    """
    total: Limbs = {}
    for i, a in left.items():
        for j, b in right.items():
            product = a * b
            over = (product + _HALF) >> BITS
            total = add(total, {i + j: product - (over << BITS), i + j + 1: over})
    return carry(total)


def sum_ints(numbers: Ints, codes: Ints, size: int) -> Limbs:
    """Sums by group of any int64 numbers, carried."""
    if not len(numbers):
        return {}
    if max(int(numbers.max()), -int(numbers.min())) * len(numbers) < 1 << 62:
        return carry({0: _add_at(numbers, codes, size)})
    low, high = _halves(numbers)
    return carry({0: _add_at(low, codes, size), 1: _add_at(high, codes, size)})


def factors(numbers: Ints) -> Parts:
    """Integers in parts so small that the product of any two of them fits 64 bits and is exact in double arithmetic."""
    if not len(numbers) or max(int(numbers.max()), -int(numbers.min())) < _FACTOR:
        return {0: numbers}
    return dict(enumerate(_halves(numbers)))


def quarters(low: NDArray[np.uint64], high: Ints) -> Parts:
    """The integers high * 2**64 + low in parts of 32 bits."""
    unsigned, mask = low, np.uint64(_MASK)
    found = (
        (unsigned & mask).view(np.int64),
        (unsigned >> np.uint64(BITS)).view(np.int64),
        high & _MASK,
        high >> BITS,
    )
    return dict(carry(dict(enumerate(found))))


def sum_parts(parts: Parts, codes: Ints, size: int) -> Limbs:
    """Sums by group of the numbers that *parts* add up to, carried."""
    total: Limbs = {}
    for j, part in parts.items():
        total = add(
            total, sum_floats(part, codes, size) if part.dtype.kind == "f" else sum_ints(part, codes, size), j
        )
    return carry(total)


def sum_products(left: Parts, right: Parts, codes: Ints, size: int) -> Limbs:
    """Sums by group of the products of the numbers that *left* and *right* add up to, carried."""
    total: Limbs = {}
    for i, a in left.items():
        for j, b in right.items():
            are_ints = a.dtype.kind == b.dtype.kind == "i"
            found = (
                sum_ints(a * b, codes, size)
                if are_ints
                else _sum_float_products(_double(a), _double(b), codes, size)
            )
            total = add(total, found, i + j)
    return carry(total)


def _double(part: NDArray[Any]) -> Floats:
    return part.astype(np.float64, copy=False)


def _halves(numbers: Ints) -> tuple[Ints, Ints]:
    """Low and high of low + high * 2**32, both at most 2**31 in size, so that every product of two of them fits."""
    high = (numbers >> BITS) + ((numbers >> (BITS - 1)) & 1)
    return numbers - (high << BITS), high


def sum_digits(digits: Ints, codes: Ints, size: int) -> Ints:
    """Sums by group of carried digits or counts; exact below 2**31 rows."""
    return _add_at(digits, codes, size)


def _add_at(numbers: Ints, codes: Ints, size: int) -> Ints:
    total = np.zeros(size, np.int64)
    np.add.at(total, codes, numbers)
    return total


def sum_floats(numbers: Floats, codes: Ints, size: int) -> Limbs:
    """Sums by group of finite doubles, carried."""
    return _sum_blocks([numbers], codes, size, lambda block: [block])


def _sum_float_products(left: Floats, right: Floats, codes: Ints, size: int) -> Limbs:
    """Sums by group of the products of finite doubles, carried; the squares of *left* where it is *right*."""
    if left is right:
        return _sum_blocks([left], codes, size, lambda block: list(two_product(block, block)), 2)
    return _sum_blocks([left, right], codes, size, lambda a, b: list(two_product(a, b)))


def _sum_blocks(
    columns: list[Floats], codes: Ints, size: int, terms: Callable[..., list[Floats]], power: int = 1
) -> Limbs:
    """Sum terms(*columns), of degree *power* in each, in blocks that stay in the cache yet are long beside the number of groups."""
    total: Limbs = {}
    step = min(max(_BLOCK, 4 * size), ROWS)
    for start in range(0, len(codes), step):
        rows = codes[start : start + step]
        for parts, chosen, shift in _ranges([numbers[start : start + step] for numbers in columns]):
            total = add(
                total, _slices(terms(*parts), rows if chosen is None else rows[chosen], size), power * shift
            )
    return carry(total)


def _ranges(columns: list[Floats]) -> list[tuple[list[Floats], Ints | None, int]]:
    """The columns with huge and tiny numbers scaled to an ordinary size: (columns, their rows or None for all, grid shift of their product)."""
    shifts = [_shifts(numbers) for numbers in columns]
    if all(shift is None for shift in shifts):
        return [(columns, None, 0)]
    every = [np.zeros(len(columns[0]), np.int64) if shift is None else shift for shift in shifts]
    scaled = [np.ldexp(numbers, -BITS * shift) for numbers, shift in zip(columns, every, strict=True)]
    together = np.sum(every, axis=0)
    found = [(np.flatnonzero(together == shift), int(shift)) for shift in np.unique(together)]
    return [([numbers[rows] for numbers in scaled], rows, shift) for rows, shift in found]


def _shifts(numbers: Floats) -> Ints | None:
    """By how many grid indexes each number is to be scaled down; None where that is zero for all."""
    sizes = np.abs(numbers)
    huge, tiny = sizes > HUGE, sizes < TINY
    if not huge.any() and not (tiny.any() and numbers[tiny].any()):
        return None
    return SHIFT * (huge.astype(np.int64) - (tiny & (sizes > 0.0)))


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The rounded sum and its exact error (Knuth)."""
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The rounded product and its exact error, for products within [2**-960, 2**960] (Dekker, Veltkamp)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = (a_high, a_low) if a is b else _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: Floats) -> tuple[Floats, Floats]:
    scaled = 134217729.0 * a
    high = scaled - (scaled - a)
    return high, a - high


def _slices(terms: list[Floats], codes: Ints, size: int) -> Limbs:
    """Sums by group of all *terms*, arrays of equal length and at most ROWS long: slice after slice until nothing is left."""
    total: Limbs = {}
    for term in terms:
        rest, rows, top = term, codes, _top(term)
        bits = min(_EXACT - (len(term) - 1).bit_length(), _WIDEST)
        left = np.count_nonzero(rest != 0.0)
        while left:
            unit = max(top - bits, _LEAST)
            sigma = 1.5 * 2.0 ** (unit + 52)
            cut = rest + sigma
            cut -= sigma
            rest = rest - cut
            total = add(total, _digits(np.bincount(rows, cut, size), unit))
            left = np.count_nonzero(rest != 0.0)
            top = unit - 1  # of what a cut leaves
            if left and 4 * left < len(rest):
                some = np.flatnonzero(rest)
                rest, rows = rest[some], rows[some]
                top = _top(rest)
    return total


def _top(numbers: Floats) -> int:
    """The least e with every number at most 2**e in size."""
    return math.frexp(max(float(numbers.max()), -float(numbers.min())))[1] if len(numbers) else 0


def _digits(sums: NDArray[Any], unit: int) -> Limbs:
    """Sums of at most 2**53 multiples of 2**unit as digits.

    `ldexp` is slow and needed only where the power itself is no double.
    """
    j, shift = divmod(unit, BITS)
    whole: Ints = (sums * 2.0**-unit if unit > -1000 else np.ldexp(sums, -unit)).astype(np.int64)
    over = (whole + (_HALF >> shift)) >> (BITS - shift)
    return {j: (whole - (over << (BITS - shift))) << shift, j + 1: over}
