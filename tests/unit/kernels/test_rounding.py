"""Roundings at and beside the halfway points, where a wrong last bit would hide."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.kernels.queries import is_nearest_root, nearest
from worker_service.kernels.exact.limbs import carry, multiply
from worker_service.kernels.exact.rounding import denominator, quotient, root_of_quotient, rounded

TIE = Fraction(1) + Fraction(1, 2**53)
FAR = Fraction(1, 2**200)
BESIDE = [
    TIE,
    TIE + FAR,
    TIE - FAR,
    -TIE,
    FAR - TIE,
    -TIE - FAR,
    TIE + Fraction(1, 2**52),
    TIE + Fraction(1, 2**52) - FAR,
]
LARGE = st.builds(lambda n, shift: n << shift, st.integers(-(2**200), 2**200), st.integers(0, 800))


def limbs_of(number):
    """The carried digits of a Fraction whose denominator is a power of two, for one group."""
    scaled, index, digits = number * 2**1088, -34, {}
    assert scaled.denominator == 1
    left = scaled.numerator
    while left:
        digit = (left + 2**31) % 2**32 - 2**31
        if digit:
            digits[index] = np.array([digit])
        left, index = (left - digit) >> 32, index + 1
    return digits


def by(n, others=1, factor=1):
    return denominator([np.array([n]), np.array([others])], factor)


@pytest.mark.parametrize("scale", [1, 2**40, Fraction(1, 2**700), 2**700])
@pytest.mark.parametrize("number", BESIDE)
def test_a_sum_beside_a_tie_is_decided_by_the_farthest_digit(number, scale):
    assert rounded(limbs_of(number * scale), 1).tolist() == [nearest(number * scale)]


@pytest.mark.parametrize("n", [1, 3, 7, 10**9 + 7])
@pytest.mark.parametrize("number", BESIDE)
def test_a_quotient_beside_a_tie_is_decided_exactly(number, n):
    assert quotient(limbs_of(number * n), by(n)).tolist() == [nearest(number)]


@pytest.mark.parametrize("n", [1, 3, 10**9 + 7])
@pytest.mark.parametrize(
    "number", [root**2 + near for root in (TIE, TIE + Fraction(1, 2**52)) for near in (0, FAR, -FAR)]
)
def test_a_root_beside_a_tie_is_decided_exactly(number, n):
    assert is_nearest_root(root_of_quotient(limbs_of(number * n), by(n))[0], number)


def test_a_root_on_a_tie_goes_to_the_even_neighbour():
    assert root_of_quotient(limbs_of(TIE**2), by(1)).tolist() == [1.0]


@given(LARGE, st.integers(1, 2**40), st.integers(1, 2**40), st.sampled_from([1, 100, 10**36]))
@example(2**1087, 1, 1, 1)
def test_any_quotient_and_root_are_rounded_once(n, one, other, factor):
    exact = Fraction(n, 2**500) / (one * other * factor)
    assert quotient(limbs_of(Fraction(n, 2**500)), by(one, other, factor)).tolist() == [nearest(exact)]
    root = root_of_quotient(limbs_of(Fraction(abs(n), 2**500)), by(one, other, factor))[0]
    assert is_nearest_root(root, abs(exact))


@given(LARGE, LARGE)
def test_products_of_limbs_are_exact_and_their_digits_carried(left, right):
    product = multiply(limbs_of(Fraction(left, 2**1088)), limbs_of(Fraction(right, 2**1088)))
    assert sum(int(digits[0]) << (32 * (j + 68)) for j, digits in product.items()) == left * right
    assert all(-(2**31) <= int(digits[0]) < 2**31 for digits in product.values())


def test_carrying_makes_the_digits_unique():
    same = [
        {0: np.array([5])},
        {0: np.array([5 + 2**32]), 1: np.array([-1])},
        {-1: np.array([2**62]), 0: np.array([5 - 2**30])},
    ]
    assert [{j: digits.tolist() for j, digits in carry(limbs).items()} for limbs in same] == [{0: [5]}] * 3
