"""Exact sums by group, as limbs: they are the same for any order of rows and any cut into chunks.

Theory of operation. Integers are added in int64, in two halves where a sum could overflow. Doubles are cut
into slices on a fixed, absolute grid, and each slice is added on its own:

1. `_slices` takes the top bits of every number at once. Adding and subtracting 1.5 * 2**(u + 52) rounds a
   double to a multiple of 2**u, and the rest is exact. This is the error-free extraction of Rump, Ogita and
   Oishi, "Accurate floating-point summation", 2008. The grid is absolute, as in Demmel and Nguyen, "Fast
   reproducible floating-point summation", 2013.
2. A slice has so few bits that as many slices as there are rows add up in a double without an error. So
   `numpy.bincount`, which adds doubles, may add them.
3. `_digits` moves the sums of a slice onto the grid of `limbs`. Slices are taken until nothing is left.

A product of doubles is first made a sum of two doubles, without an error (`two_product`). Huge and tiny
numbers are scaled by a power of two before, so that no step overflows or rounds (`_ranges`).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker_service.arrow import Floats, Ints
from worker_service.kernels.exact.double_double import two_product
from worker_service.kernels.exact.limbs import BITS, HALF, Limbs, add, carry

ROWS = 1 << 20
"""At most so many rows are summed at once, so that a slice has 33 bits or more."""
HUGE, TINY, SHIFT = 2.0**480, 2.0**-480, 20
"""A double beyond these is first scaled by 2**(32 * SHIFT), which is exact.

So neither its square nor a slice of it leaves the range of doubles.
"""
_MASK, _BLOCK = (1 << BITS) - 1, 1 << 15
_DOUBLE_BITS = 53
_WIDEST_SLICE = 51
"""Bits that the two additions can cut off."""
_LEAST_EXPONENT = -1074
"""Of the smallest double."""
_FACTOR = 3_037_000_499
"""The largest integer whose square fits 63 bits."""

Parts: TypeAlias = Mapping[int, NDArray[Any]]
"""Numbers, one a row: the sum of part * 2**(32 * j).

Doubles are one part; integers are one or, where they are large, several.
"""


def sum_ints(numbers: Ints, codes: Ints, size: int) -> Limbs:
    """Sums by group of any int64 numbers, carried."""
    if not len(numbers):
        return {}
    if max(int(numbers.max()), -int(numbers.min())) * len(numbers) < 1 << 62:
        return carry({0: sums_by_group(numbers, codes, size)})
    low, high = _halves(numbers)
    return carry({0: sums_by_group(low, codes, size), 1: sums_by_group(high, codes, size)})


def factors(numbers: Ints) -> Parts:
    """Integers in parts so small that the product of any two fits 64 bits.

    Such a product is exact in double arithmetic too (as a double and its error).
    """
    if not len(numbers) or max(int(numbers.max()), -int(numbers.min())) < _FACTOR:
        return {0: numbers}
    return dict(enumerate(_halves(numbers)))


def quarters(low: NDArray[np.uint64], high: Ints) -> Parts:
    """The integers high * 2**64 + low in parts of 32 bits."""
    mask = np.uint64(_MASK)
    found = (
        (low & mask).view(np.int64),
        (low >> np.uint64(BITS)).view(np.int64),
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
    """(low, high) of low + high * 2**32, both at most 2**31 in size: a product of two fits 64 bits."""
    high = (numbers >> BITS) + ((numbers >> (BITS - 1)) & 1)
    return numbers - (high << BITS), high


def sums_by_group(numbers: Ints, codes: Ints, size: int) -> Ints:
    """Plain int64 sums; of counts and of carried digits they are exact below 2**31 rows."""
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
    """Sum terms(*columns), of degree *power* in each.

    In blocks that stay in the cache, and are long compared with the number of groups.
    """
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
    """The columns with huge and tiny numbers scaled to an ordinary size.

    Each range is (columns, their rows or None for all, grid shift of the product of the columns).
    """
    shifts = [_shifts(numbers) for numbers in columns]
    if all(shift is None for shift in shifts):
        return [(columns, None, 0)]
    every = [np.zeros(len(columns[0]), np.int64) if shift is None else shift for shift in shifts]
    scaled = [np.ldexp(numbers, -BITS * shift) for numbers, shift in zip(columns, every, strict=True)]
    together = np.sum(every, axis=0)
    found = [(np.flatnonzero(together == shift), int(shift)) for shift in np.unique(together)]
    return [([numbers[rows] for numbers in scaled], rows, shift) for rows, shift in found]


def _shifts(numbers: Floats) -> Ints | None:
    """By how many grid indexes each number must be scaled down; None where that is zero for all."""
    sizes = np.abs(numbers)
    huge, tiny = sizes > HUGE, sizes < TINY
    if not huge.any() and not (tiny.any() and numbers[tiny].any()):
        return None
    return SHIFT * (huge.astype(np.int64) - (tiny & (sizes > 0.0)))


def _slices(terms: list[Floats], codes: Ints, size: int) -> Limbs:
    """Sums by group of all *terms*, arrays of equal length and at most ROWS long, not carried.

    Takes slice after slice until nothing is left.
    """
    total: Limbs = {}
    for term in terms:
        rest, rows, top = term, codes, _top(term)
        bits = min(_DOUBLE_BITS - (len(term) - 1).bit_length(), _WIDEST_SLICE)
        left = np.count_nonzero(rest != 0.0)
        while left:
            unit = max(top - bits, _LEAST_EXPONENT)
            sigma = 1.5 * 2.0 ** (unit + 52)
            cut = rest + sigma
            cut -= sigma
            rest = rest - cut
            total = add(total, _digits(np.bincount(rows, cut, size), unit))
            left = np.count_nonzero(rest != 0.0)
            top = unit - 1  # of the rest after a cut
            if left and 4 * left < len(rest):
                some = np.flatnonzero(rest)
                rest, rows = rest[some], rows[some]
                top = _top(rest)
    return total


def _top(numbers: Floats) -> int:
    """The least e for which every number is at most 2**e in size."""
    return math.frexp(max(float(numbers.max()), -float(numbers.min())))[1] if len(numbers) else 0


def _digits(sums: NDArray[Any], unit: int) -> Limbs:
    """Sums, each a multiple of 2**unit that a double holds exactly, as digits.

    `ldexp` is slow, and needed only where the power itself is no double.
    """
    j, shift = divmod(unit, BITS)
    whole: Ints = (sums * 2.0**-unit if unit > -1000 else np.ldexp(sums, -unit)).astype(np.int64)
    over = (whole + (HALF >> shift)) >> (BITS - shift)
    return {j: (whole - (over << (BITS - shift))) << shift, j + 1: over}
