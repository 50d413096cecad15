"""Exact numbers of any size, one a group: balanced digits in base 2**32 on one fixed grid.

`Limbs` maps a grid index j to one int64 digit a group. A group's number is the sum of digit * 2**(32 * j).
Negative indexes hold fractions, so a double has limbs too. An absent index is zero in every group.

After `carry` every digit lies in [-2**31, 2**31). Then the digits of a number are unique: equal sums have
equal bytes, in whatever order they were added. And a state stores a digit as int32.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker_service.arrow import Ints, Mask

BITS = 32
HALF = 1 << (BITS - 1)

Limbs: TypeAlias = dict[int, Ints]


def add(left: Limbs, right: Limbs, shift: int = 0) -> Limbs:
    """Left + right * 2**(32 * shift), not carried."""
    total = dict(left)
    for j, digits in right.items():
        total[j + shift] = total[j + shift] + digits if j + shift in total else digits
    return total


def negate(limbs: Limbs) -> Limbs:
    return {j: -digits for j, digits in limbs.items()}


def carry(limbs: Limbs) -> Limbs:
    """Bring every digit into [-2**31, 2**31) and drop the indexes that are zero in every group.

    Digits may be up to 2**62 before.
    """
    done: Limbs = {}
    pending = dict(limbs)
    while pending:
        j = min(pending)
        digits = pending.pop(j)
        over = (digits + HALF) >> BITS
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
            over = (product + HALF) >> BITS
            total = add(total, {i + j: product - (over << BITS), i + j + 1: over})
    return carry(total)


def nonzero(limbs: Limbs, size: int) -> Mask:
    """Which carried numbers are not zero."""
    return np.array(
        np.logical_or.reduce([np.zeros(size, np.bool_), *(digits != 0 for digits in limbs.values())])
    )


def exact_integer(limbs: Limbs, group: int) -> tuple[int, int]:
    """(n, j): the number of *group* is exactly n * 2**(32 * j), with j at most 0."""
    bottom = min([*limbs, 0])
    return sum(int(digits[group]) << (BITS * (j - bottom)) for j, digits in limbs.items()), bottom


def low_words(limbs: Limbs, size: int) -> tuple[NDArray[np.uint64], Ints]:
    """The last 128 bits of carried integers in two's complement: (low word, high word)."""
    over, found = np.zeros(size, np.int64), []
    for j in range(4):
        digits = limbs.get(j, 0) + over
        over = digits >> 32
        found.append(digits & 0xFFFF_FFFF)
    return (found[0] | (found[1] << 32)).view(np.uint64), found[2] | (found[3] << 32)


def exceeds_words(limbs: Limbs, size: int) -> Mask:
    """Which carried integers have digits above the 128 bits of `low_words`."""
    return nonzero({j: digits for j, digits in limbs.items() if j > 3}, size)
