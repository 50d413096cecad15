"""Narrow lists of partials lead back to the same bits, on both paths."""

import math
import random
import struct
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from tests.support.native import PATHS, path
from tests.unit.kernels.queries import query
from worker_service.kernels import combine, decode, encode, finalize, partial
from worker_service.kernels.engine.narrow import narrowed, scaled, unscaled, widened


def lists_of(items):
    return pa.ListArray.from_arrays(pa.array([0, 0, len(items) // 2, len(items)], pa.int32()), items)


def bits(lists):
    return [[struct.pack("<d", value) for value in values] for values in lists.to_pylist()]


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("digits", range(10))
def test_doubles_with_few_decimals_are_integers_of_32_bits(setting, digits):
    choice = random.Random(digits)
    whole = [0, 1, -1, 2**31 - 1, 1 - 2**31, *(choice.randrange(1 - 2**31, 2**31) for _ in range(3000))]
    lists = lists_of(pa.array([float(Fraction(number, 10**digits)) for number in whole]))
    with path(setting):
        found = narrowed(pa.table({"x": lists}))
        assert found["x"].type == pa.list_(pa.int32())
        assert found["x"].combine_chunks().flatten().to_pylist() == whole
        again = widened(found)
    assert again.schema == pa.schema({"x": lists.type})
    assert bits(again["x"]) == bits(lists)


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize(
    "odd",
    [
        -0.0,
        math.nan,
        math.inf,
        -math.inf,
        5e-324,
        1 / 3,
        1e-10,
        0.1 + 0.2,
        2.0**31,
        -(2.0**31) - 1,
        1e300,
        1e16,
    ],
)
def test_one_double_without_such_an_integer_keeps_all_as_they_are(setting, odd):
    lists = lists_of(pa.array([1.5, 2.25] * 300 + [odd] + [3.0] * 300))
    with path(setting):
        found = narrowed(pa.table({"x": lists}))
        assert found["x"].type == lists.type
        assert bits(widened(found)["x"]) == bits(lists)


def test_both_paths_find_the_same_integers():
    choice = random.Random(1)
    near = [
        math.nextafter(k / 10**d, choice.choice([-math.inf, math.inf, k / 10**d]))
        for d in range(10)
        for k in (choice.randrange(-(2**31) - 2, 2**31 + 2) for _ in range(300))
    ]
    anything = [struct.unpack("<d", choice.randbytes(8))[0] for _ in range(2000)]
    values, found = near + anything, []
    for setting in PATHS:
        with path(setting):
            each = [scaled(np.array([value]), digits) for value in values for digits in (0, 3, 6, 9)]
            found.append([whole if whole is None else whole[0] for whole in each])
            for at, whole in enumerate(each):
                if whole is not None:
                    again = unscaled(whole, (0, 3, 6, 9)[at % 4])[0]
                    assert struct.pack("<d", again) == struct.pack("<d", values[at // 4])
    assert found[0] == found[1]
    assert sum(whole is not None for whole in found[0]) > 300


def test_integers_of_32_bits_are_narrow_and_others_stay():
    for numbers, narrow in (
        ([2**31 - 1, -(2**31)], True),
        ([2**31], False),
        ([-(2**31) - 1], False),
        ([], False),
    ):
        table = pa.table({"n": lists_of(pa.array(numbers, pa.int64())), "k": [1, 2, 3]})
        found = narrowed(table)
        assert (found["n"].type == pa.list_(pa.int32())) == narrow
        assert widened(found).equals(table)


@pytest.mark.parametrize("setting", PATHS)
def test_partials_with_narrow_lists_give_the_same_result(setting):
    r = np.random.default_rng(2)
    frame = pa.table({"k": r.integers(0, 300, 5000), "x": np.round(r.normal(size=5000), 3)})
    texts = ["median x", "top x 3", "mode x"]
    asked = query(frame, ["k"], texts)
    with path(setting):
        states = combine([partial(frame, asked)], asked)
        few = encode(states, query(frame, ["k"], texts, max_state_bytes=1 << 20), 1 << 12)
        many = encode(states, asked, 1 << 12)
        narrow, wide = ([one.data for one in partials] for partials in (many, few))
        assert sum(map(len, narrow)) < sum(map(len, wide))
        for data in (narrow, wide):
            found = finalize(combine([decode(one) for one in data], asked), asked)
            assert found.buckets == finalize(states, asked).buckets
