"""Totals that lie side by side, while groups and totals become more, against numpy and fractions."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from tests.support.native import needs_library
from worker_service.kernels.group_words import GroupWords, Kind, Step, Total
from worker_service.native import library

pytestmark = needs_library


@pytest.mark.parametrize("count", [1, 3, 8, 9, 20])
def test_totals_stay_while_groups_and_totals_become_more(count):
    """Some steps enlarge the memory where it is, others move it; the last ones are tens of megabytes."""
    choice, words = np.random.default_rng(count), GroupWords(library())
    totals, expected = [Total(1)], [np.zeros(0, np.int64)]
    for groups in [1, 2, 3, 50, 50, 700, 5_000, 5_000, 90_000, 2_000_000 // count]:
        expected = [np.append(known, np.zeros(groups - len(known), np.int64)) for known in expected]
        while len(totals) < min(count, groups):
            totals.append(Total(1))
            expected.append(np.zeros(groups, np.int64))
        codes = choice.integers(0, groups, 3000)
        numbers = [choice.integers(-(2**40), 2**40, len(codes)) for _ in totals]
        given = zip(totals, numbers, strict=True)
        words.add([Step(total, Kind.INTS, codes, left) for total, left in given], groups)
        for known, left in zip(expected, numbers, strict=True):
            np.add.at(known, codes, left)
        for total, known in zip(totals, expected, strict=True):
            assert np.array_equal(words.numbers(total, groups), known)


def test_a_copied_count_goes_on_by_itself():
    words, first, codes = GroupWords(library()), Total(1), np.array([0, 1, 1])
    words.add([Step(first, Kind.ROWS, codes)], 2)
    second = words.copied(first)
    words.add([Step(second, Kind.ROWS, codes[:1])], 5)
    assert words.numbers(first, 5).tolist() == [1, 2, 0, 0, 0]
    assert words.numbers(second, 5).tolist() == [2, 2, 0, 0, 0]


def test_a_group_has_its_words_in_one_line():
    for count, stride in [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 9), (17, 17)]:
        words, codes = GroupWords(library()), np.array([0])
        words.add([Step(Total(1), Kind.ROWS, codes) for _ in range(count)], 10)
        assert words.stride == stride
        assert words.nbytes == 10 * stride * 8


UNITS = [-1074, -1000, -961, -960, -959, -300, -80, -1, 0, 1, 100, 799, 800, 850]
SPANS = [53, 54, 60, 64, 98, 99, 100, 101, 102, 104, 110, 120]


def doubles(chance, unit, span, count):
    """At most 2**(unit + span) in size; no bit of a mantissa is below 2**unit. There are zeros among them."""
    found = [math.ldexp(chance.choice([-1, 1]), unit + span), 0.0, -0.0]
    found += [5e-324, -5e-324] if unit == -1074 else []
    while len(found) < count:
        mantissa = chance.choice([1 << 52, (1 << 52) + 1, (1 << 53) - 1, chance.randrange(1 << 52, 1 << 53)])
        found.append(chance.choice([-1, 1]) * math.ldexp(mantissa, unit + chance.randint(0, span - 53)))
    return found


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("span", SPANS)
def test_doubles_of_any_range_are_added_without_an_error(unit, span):
    chance = random.Random(f"{unit} {span}")
    span = min(span, 1023 - unit)
    numbers = doubles(chance, unit, span, 1500)
    codes = [chance.randrange(7) for _ in numbers]
    for width in (-(-(span + 13) // 64), -(-(span + 13) // 64) + 1):
        words, total = GroupWords(library()), Total(width)
        given = np.array(codes), np.array(numbers)
        words.add([Step(total, Kind.DOUBLES, *given, unit=unit, high=unit + span)] * 2, 7)
        for group, found in enumerate(words.of(total).tolist()):
            whole = sum(word << 64 * place for place, word in enumerate(found))
            whole -= (whole >> 64 * width - 1) << 64 * width  # two's complement
            exact = sum(
                Fraction(number) for number, code in zip(numbers, codes, strict=True) if code == group
            )
            assert whole * Fraction(2) ** unit == 2 * exact
