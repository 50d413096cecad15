"""The values that growing states keep, on both paths: against sorting and counting with Python."""

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from tests.support.native import PATHS, path
from tests.unit.kernels.queries import nearest, query, rows
from worker_service.kernels import combine, finalize, partial
from worker_service.kernels.aggregates.kept import (
    Kept,
    Runs,
    Sorted,
    distinct,
    in_order,
    repeated,
    selected,
    shortest,
    shortest_of,
    sort,
)
from worker_service.kernels.aggregates.order import doubles_of, ordered, sort_keys
from worker_service.kernels.aggregates.ranked import cut

SHAPES = ["random", "few", "ascending", "descending", "runs", "saw", "extreme"]


def shaped(shape, size, seed=0):
    r = np.random.default_rng(seed)
    extremes = np.array([-(2**63), 2**63 - 1, 0, -1, 1])
    return {
        "random": lambda: r.integers(-(2**63), 2**63 - 1, size),
        "few": lambda: r.integers(0, 5, size),
        "ascending": lambda: np.arange(size),
        "descending": np.arange(size)[::-1].copy,
        "runs": lambda: np.arange(size) % 97,
        "saw": lambda: np.arange(size) * (-1) ** np.arange(size),
        "extreme": lambda: extremes[r.integers(0, 5, size)],
    }[shape]()


def listed(values):
    """Each group's keys, each as often as it occurs."""
    counts = np.ones(len(values.keys), np.int64) if values.counts is None else values.counts
    return [
        [
            key
            for key, n in zip(values.keys[a:b].tolist(), counts[a:b].tolist(), strict=True)
            for _ in range(n)
        ]
        for a, b in pairwise(values.bounds)
    ]


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("size", "groups"), [(0, 3), (1, 1), (15, 1), (17, 2), (5000, 1), (5000, 40), (900, 3000)]
)
def test_keys_are_sorted_within_their_groups(setting, shape, size, groups):
    keys, codes = shaped(shape, size), np.random.default_rng(1).integers(0, groups, size)
    counts = np.random.default_rng(2).integers(1, 4, size)
    expected = [sorted(keys[codes == g].tolist()) for g in range(groups)]
    weighed = [sorted(np.repeat(keys, counts)[np.repeat(codes, counts) == g].tolist()) for g in range(groups)]
    with path(setting):
        assert listed(sort([Runs(codes, None, keys)], groups)) == expected
        found = sort([Runs(codes, None, keys, counts)], groups)
        assert listed(found) == weighed
        assert listed(distinct(found)) == listed(repeated(found)) == listed(shortest(found)) == weighed
        assert [len(set(group)) for group in weighed] == np.diff(distinct(found).bounds).tolist()
        for k in (1, 2, 7):
            firsts = [group[:k] for group in weighed]
            assert listed(cut(found, k)) == listed(cut(repeated(found), k)) == firsts


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sorted_runs_of_groups_are_merged(setting, shape):
    r = np.random.default_rng(3)
    lengths, codes = r.integers(0, 40, 300), r.integers(0, 20, 300)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    keys = shaped(shape, starts[-1])
    for first, end in pairwise(starts):
        keys[first:end].sort()
    owners = np.repeat(codes, lengths)
    with path(setting):
        found = sort([Runs(codes, starts, keys)], 20)
    assert listed(found) == [sorted(keys[owners == g].tolist()) for g in range(20)]


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("size", "groups"), [(1, 1), (1, 3), (25, 1), (60, 1), (5000, 1), (20_000, 3), (5000, 40)]
)
def test_keys_are_selected_as_from_sorted_ones(setting, shape, size, groups):
    keys, r = shaped(shape, size), np.random.default_rng(6)
    keys.flags.writeable = False
    codes = np.sort(r.integers(0, groups, size))
    bounds = np.searchsorted(codes, np.arange(groups + 1))
    ranked = [sorted(keys[a:b].tolist()) for a, b in pairwise(bounds)]
    for part in (0, 0.25, 0.5, 0.9, 1):
        at = np.array([int(max(len(group) - 1, 0) * part) for group in ranked])
        following = np.array([place + 1 < len(group) for place, group in zip(at, ranked, strict=True)])
        with path(setting):
            low, high = selected(keys, bounds, at, following)
            assert listed(in_order(Kept(keys, None, bounds))) == ranked
        for g, group in enumerate(ranked):
            if group:
                assert low[g] == group[at[g]]
                assert high[g] == group[at[g] + following[g]]


@pytest.mark.parametrize("setting", PATHS)
def test_doubles_are_selected_and_stay_doubles(setting):
    r = np.random.default_rng(7)
    special = [0.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324]
    doubles = np.concatenate([r.normal(size=2000), r.choice(special, 500)])
    r.shuffle(doubles)
    given, bounds = doubles.copy(), np.array([0, 1, 1, 30, 2500])
    for at in (0, 0.3, 0.5, 1):
        places = (np.maximum(np.diff(bounds) - 1, 0) * at).astype(np.int64)
        following = places + 1 < np.diff(bounds)
        with path(setting):
            low, high = selected(given, bounds, places, following)
        for g, (first, end) in enumerate(pairwise(bounds)):
            ranked = np.sort(doubles[first:end])  # NaN is last
            assert np.array_equal(np.sort(given[first:end]), ranked, equal_nan=True)
            if first < end:
                found = np.array([low[g], high[g]])
                assert np.array_equal(found, ranked[[places[g], places[g] + following[g]]], equal_nan=True)


@pytest.mark.parametrize("setting", PATHS)
def test_parts_of_doubles_are_joined_as_their_keys_are(setting):
    """Some parts have doubles, some keys, some counts, and one has no run."""
    r, parts, expected = np.random.default_rng(8), [], [[] for _ in range(9)]
    for no, size in enumerate([40, 0, 7, 300]):
        lengths, codes = r.integers(0, 6, size), r.integers(0, 9, size)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        doubles = r.choice([0.0, -0.0, math.nan, -math.inf, -1.5, 2.5, 3e300], starts[-1])
        keys = sort_keys(pa.array(doubles))
        counts = r.integers(1, 4, starts[-1]) if no == 2 else None
        parts.append((codes, starts, doubles if no else keys, counts))
        owners, weights = np.repeat(codes, lengths), np.ones(len(keys), int) if counts is None else counts
        for owner, key, weight in zip(owners.tolist(), keys.tolist(), weights.tolist(), strict=True):
            expected[owner] += [key] * weight
    with path(setting):
        plain = sort([Runs(*part[:3]) for part in parts[:2] + parts[3:]], 9)
        assert listed(sort([Runs(*part) for part in parts], 9)) == [sorted(keys) for keys in expected]
        assert sum(map(len, listed(plain))) == len(parts[0][2]) + len(parts[3][2])
        assert listed(plain) == listed(sort([Runs(*part[:3]) for part in (parts[3], parts[0])], 9))
        assert listed(sort([], 2)) == [[], []]


def test_poor_pivots_do_not_make_selection_slow():
    """Keys of which the middle and both ends are always the largest ones that are left."""
    size = 3000
    places, keys, key = list(range(size)), np.empty(size, np.int64), size
    while places:
        for at in sorted({0, len(places) // 2, len(places) - 1}, reverse=True):
            keys[places.pop(at)] = key
            key -= 1
    bounds, none = np.array([0, size]), np.array([False])
    for at in (0, 1, size // 2, size - 1):
        with path("require"):
            low, _ = selected(keys, bounds, np.array([at]), none)
        assert low.tolist() == [np.sort(keys)[at]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 40, 3000])
def test_both_paths_count_the_same_values(shape, groups):
    keys = np.concatenate([shaped(shape, 4000), shaped(shape, 4000, 8)])
    runs = Runs(np.random.default_rng(1).integers(0, groups, len(keys)), None, keys)
    found = []
    for setting in PATHS:
        with path(setting):
            kept = shortest_of([runs], groups)
            found.append((kept.counts is None, listed(in_order(kept))))
    assert found[0] == found[1]


def test_repeats_are_counted_where_that_takes_less_memory():
    bounds = np.array([0, 4])
    assert shortest(Sorted(np.array([5, 5, 5, 7]), None, bounds)).counts.tolist() == [3, 1]
    assert shortest(Sorted(np.array([5, 5, 6, 7]), None, bounds)).counts is None
    assert shortest(Sorted(np.array([5, 6, 7]), np.array([2, 1, 1]), np.array([0, 3]))).keys.tolist() == [
        5,
        5,
        6,
        7,
    ]


def test_both_paths_order_doubles_alike():
    doubles = np.array([0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1.5, -1.5])
    found = {}
    for setting in PATHS:
        with path(setting):
            keys = sort_keys(pa.array(doubles))
            found[setting] = [keys.tolist(), doubles_of(keys).view(np.int64).tolist()]
    assert found["require"] == found["off"]
    ranked = [
        value for _, value in sorted(zip(found["off"][0], doubles.tolist(), strict=True), key=lambda x: x[0])
    ]
    assert ranked[:-2] == [-math.inf, -1.5, -5e-324, 0, 0, 5e-324, 1.5, math.inf]
    assert all(map(math.isnan, ranked[-2:]))


@pytest.mark.parametrize("descending", [False, True])
def test_keys_lead_back_to_values_of_every_type(descending):
    for values in (
        pa.array(["b", "", "a", "é", "b"]),
        pa.array(["b", "", "a", "é", "b"]).dictionary_encode(),
        pa.array([3, -1, 2**62]),
        pa.array([1.5, -math.inf, 0.0]),
        pa.array([True, False, True]),
        pa.array([10**37, -5, 7], pa.decimal128(38, 0)),
        pa.array([10**10, -5, 7], pa.decimal128(18, 2)),
        pa.array([3, 1], pa.date32()),
        pa.array([3, 1], pa.timestamp("us", tz="UTC")),
    ):
        keys, restore = ordered(values, descending=descending)
        assert restore(keys.copy()).to_pylist() == values.to_pylist()
        found = restore(np.sort(keys)).to_pylist()
        assert found == sorted(values.to_pylist(), reverse=descending)


ASKED = ["median x", "quantile x 0.3", "mode x", "nunique x", "top x 2", "bottom x 3", "top x 500"]


@pytest.mark.parametrize("kind", ["f", "i", "b", "s", "d", "w", "few"])
def test_both_paths_and_any_mix_of_them_give_the_same_rows(kind):
    r = np.random.default_rng(9)
    doubles = np.concatenate(
        [r.normal(size=700), r.choice([0.0, -0.0, math.inf, -math.inf, math.nan, 1e308], 300)]
    )
    values = {
        "f": pa.array(r.permutation(doubles)),
        "i": pa.array(shaped("random", 1000)),
        "b": pa.array(r.integers(0, 2, 1000).astype(bool)),
        "s": pa.array([f"é{n % 190}" for n in range(1000)]),
        "d": pa.array(r.integers(-(10**17), 10**17, 1000))
        .cast(pa.decimal128(38, 0))
        .cast(pa.decimal128(18, 0)),
        "w": pa.array(r.integers(-(10**17), 10**17, 1000)).cast(pa.decimal128(38, 0)),
        "few": pa.array(r.integers(0, 4, 1000)),
    }[kind]
    missing = pa.array(r.random(1000) < 0.1)
    frame = pa.table(
        {
            "g": r.integers(0, 30, 1000),
            "x": pa.array(values.to_pylist(), values.type, mask=np.asarray(missing)),
        }
    )
    asked = query(frame, ["g"], ASKED[2:] if kind in "bs" else ASKED)

    def part(no, setting):
        with path(setting):
            return partial(frame.slice(no * 250, 250), asked)

    found = []
    for settings in (
        ["off"] * 5,
        ["require"] * 5,
        ["off", "require"] * 2 + ["off"],
        ["require", "off"] * 2 + ["require"],
    ):
        parts = [part(no, setting) for no, setting in enumerate(settings[:4])]
        with path(settings[4]):
            states = combine([combine(parts[1:3], asked), parts[0], parts[3]], asked)
            found.append(finalize(states, asked))
    assert len({tuple(sorted(one.buckets.items())) for one in found}) == 1
    assert all(one.table.equals(found[0].table) or kind == "f" for one in found)


def test_medians_of_many_groups_are_those_of_fractions():
    r = np.random.default_rng(4)
    pairs = np.concatenate(
        [
            r.normal(size=(500, 2)),
            r.integers(-20, 20, (200, 2)) * 5e-324,
            r.choice([1.7976931348623157e308, 1e308, -1e308, 2.0**970, 3e-308, -3e-308], (200, 2)),
            2.0 ** r.integers(-1074, 1000, (300, 2)),
        ]
    )
    groups = np.repeat(np.arange(len(pairs)), 2)
    found = rows(pa.table({"g": groups, "x": pairs.ravel()}), ["g"], ["median x", "quantile x 0.1"])
    for g, (a, b) in enumerate(np.sort(pairs).tolist()):
        middle, tenth = (Fraction(a) + Fraction(b)) / 2, Fraction(a) + (Fraction(b) - Fraction(a)) / 10
        assert found[g] == {"median x": nearest(middle), "quantile x 0.1": nearest(tenth)}


def test_medians_of_large_integers_are_rounded_once():
    whole = [2**53, 2**53 + 1, 2**53 - 1, -(2**63), 2**63 - 1, 2**60 + 1, 3, -(2**53) - 1]
    pairs = [(a, b) for a in whole for b in whole]
    frame = pa.table({"g": np.repeat(np.arange(len(pairs)), 2), "x": np.array(pairs).ravel()})
    found = rows(frame, ["g"], ["median x"])
    assert [found[g]["median x"] for g in range(len(pairs))] == [
        nearest(Fraction(a + b, 2)) for a, b in pairs
    ]


def test_a_state_without_counts_joins_one_that_has_them():
    plain, counted = (
        pa.table({"g": [1, 1, 2], "x": [1, 2, 3]}),
        pa.table({"g": [1, 1, 1, 3], "x": [2, 2, 2, 9]}),
    )
    asked = query(plain, ["g"], ["mode x", "nunique x", "median x"])
    states = combine([partial(plain, asked), partial(counted, asked)], asked)
    assert Counter(map(str, finalize(states, asked).table.to_pylist())) == Counter(
        map(
            str,
            [
                {"g": 1, "mode x": 2, "nunique x": 2, "median x": 2.0},
                {"g": 2, "mode x": 3, "nunique x": 1, "median x": 3.0},
                {"g": 3, "mode x": 9, "nunique x": 1, "median x": 9.0},
            ],
        )
    )
