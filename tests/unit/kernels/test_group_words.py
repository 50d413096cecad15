"""Totals that lie side by side, while groups and totals become more, against numpy."""

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
