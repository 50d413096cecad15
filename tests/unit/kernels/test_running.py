"""States held in place, against sums of fractions and the states of whole frames."""

import math
import random
from collections import Counter
from dataclasses import replace
from decimal import Context, Decimal
from fractions import Fraction
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import GroupLimitExceeded
from tests.support.native import PATHS, needs_library, path
from tests.unit.kernels.queries import query
from worker_service.child import tasks
from worker_service.kernels import Fold, combine, finalize, partial
from worker_service.kernels.engine.fold import PIECE_ROWS
from worker_service.kernels.engine.resident import LEAST_FUTILE

EXACT = Context(prec=80)
TINY, HUGE = 5e-324, 1.7976931348623157e308
COLUMNS = {
    "ordinary": lambda c: round(c.uniform(-100, 100), 6),
    "of 600 decades": lambda c: c.choice([-1, 1]) * c.random() * 10.0 ** c.randint(-308, 307),
    "subnormal": lambda c: c.choice([TINY, -TINY, 0.0, -0.0, 3 * TINY, 2.2250738585072014e-308]),
    "huge": lambda c: c.choice([HUGE, -HUGE, HUGE, 0.0]),
    "huge and tiny by turns": lambda c: c.choice([HUGE, TINY, -HUGE, -TINY, 1.0]),
    "zero": lambda c: c.choice([0.0, -0.0]),
    "cancelling": lambda c: c.choice([1e16, -1e16, 1.0, -1e-16]),
    "int64": lambda c: c.choice([2**63 - 1, -(2**63), 0, 1, c.randint(-(2**63), 2**63 - 1)]),
    "small ints": lambda c: c.randint(-5, 5),
    "ints that grow": lambda c: c.randint(-5, 5) * 3 ** c.choice([0, 10, 20, 30]),
    "decimals": lambda c: Decimal(c.randint(-(10**18) + 1, 10**18 - 1)).scaleb(-3),
    "wide decimals": lambda c: Decimal(c.choice([10**36, -(10**36), 1, 2**64, -1])).scaleb(-9, EXACT),
}
KINDS = {"decimals": pa.decimal128(18, 3), "wide decimals": pa.decimal128(37, 9)}


def kind(name):
    return KINDS.get(name) or (pa.int64() if "int" in name else pa.float64())


def frames_of(name, sizes, nulls=0.1, seed=1, groups=7):
    choice = random.Random(f"{name}{seed}")
    for size in sizes:
        values = [None if choice.random() < nulls else COLUMNS[name](choice) for _ in range(size)]
        keys = [choice.randrange(groups) for _ in range(size)]
        yield pa.table({"k": pa.array(keys, pa.int64()), "x": pa.array(values, kind(name))})


def folded(frames, asked, setting):
    with path(setting):
        fold = Fold(asked)
        for frame in frames:
            fold.add(frame)
        return fold.finish()


def by_key(states):
    """The states as Python has them, without the columns that are zero in every group."""
    table = states.sort_by("k0") if "k0" in states.column_names else states
    columns = {name: table[name].to_pylist() for name in sorted(table.column_names)}
    return {
        name: column
        for name, column in columns.items()
        if any(value != 0 for value in column) or not name.split("_")[-1].lstrip("-").isdigit()
    }


def number_of(states, name, row):
    """The exact number whose digits are the columns of a state."""
    return sum(
        Fraction(states[column][row]) * Fraction(2) ** (32 * int(column.split("_")[-1]))
        for column in states
        if column.startswith(f"{name}_") and column.split("_")[-1].lstrip("-").isdigit()
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_running_sums_and_squares_are_exact(name):
    frames = list(frames_of(name, [1, 0, 300, 2, 1000, 50]))
    asked = query(frames[0], ["k"], ["var x 0", "min x", "max x", "count x"])
    found = by_key(folded(frames, asked, "require"))
    whole, scale = pa.concat_tables(frames).to_pylist(), 10 ** getattr(kind(name), "scale", 0)
    for row, key in enumerate(found["k0"]):
        values = [r["x"] for r in whole if r["k"] == key and r["x"] is not None]
        exact = [Fraction(value) * scale for value in values]
        assert number_of(found, "a0.s", row) == sum(exact)
        assert number_of(found, "a0.q", row) == sum(value**2 for value in exact)
        assert found["a0.n"][row] == len(values)
        assert (found["a0.min"][row], found["a0.max"][row]) == (min(values), max(values))
    assert found == by_key(folded(frames, asked, "off"))
    assert found == by_key(combine([partial(pa.concat_tables(frames), asked)], asked))


@pytest.mark.parametrize("left", COLUMNS)
@pytest.mark.parametrize("right", COLUMNS)
def test_running_products_are_those_of_the_plain_path(left, right):
    columns = zip(frames_of(left, [20, 200], seed=2), frames_of(right, [20, 200], seed=3), strict=True)
    frames = [a.append_column("y", b["x"]) for a, b in columns]
    asked = query(frames[0], ["k"], ["corr x y"])
    found = by_key(folded(frames, asked, "require"))
    assert found == by_key(folded(frames, asked, "off"))
    scales = [10 ** getattr(kind(name), "scale", 0) for name in (left, right)]
    rows = [row for row in pa.concat_tables(frames).to_pylist() if None not in row.values()]
    for row, key in enumerate(found["k0"]):
        exact = sum(
            Fraction(r["x"]) * scales[0] * Fraction(r["y"]) * scales[1] for r in rows if r["k"] == key
        )
        assert number_of(found, "a0.p", row) == exact


def test_values_that_are_not_finite_are_counted():
    special = [math.nan, math.inf, -math.inf, 1.5, None, -0.0]
    choice = random.Random(4)
    frames = [
        pa.table({"k": [choice.randrange(4) for _ in range(60)], "x": choice.choices(special, k=60)}),
        pa.table({"k": [9, 9], "x": [math.nan, math.nan]}),
        pa.table({"k": [10], "x": [1e300]}),
    ]
    for semantics in ("sql", "pandas"):
        asked = query(frames[0], ["k"], ["sum x", "var x 1", "min x", "max x"], semantics)
        native, plain = (folded(frames, asked, setting) for setting in ("require", "off"))
        assert repr(by_key(native)) == repr(by_key(plain))
        assert finalize(native, asked).buckets == finalize(plain, asked).buckets


def test_extremes_may_be_the_largest_and_the_least_integers():
    most, least = 2**63 - 1, -(2**63)
    frame = pa.table({"k": [0, 1, 2, 3, 3], "x": pa.array([most, least, None, most, least])})
    asked = query(frame, ["k"], ["min x", "max x"])
    found = by_key(folded([frame.slice(0, 1), frame.slice(1)], asked, "require"))
    assert found["a0.min"] == [most, least, None, least]
    assert found["a0.max"] == [most, least, None, most]


def test_more_than_a_million_groups():
    numbers = np.random.default_rng(5).permutation(1_200_000)
    frame = pa.table({"k": numbers * 7919, "x": numbers / 1024})
    asked = query(frame, ["k"], ["sum x"])
    states = folded([frame, frame.slice(0, 5)], asked, "require")
    assert states.num_rows == len(numbers)
    twice = np.isin(states["k0"].to_numpy() // 7919, numbers[:5])
    expected = states["k0"].to_numpy() // 7919 / 1024 * (1 + twice)
    assert finalize(states, asked).table.sort_by("k")["sum x"].to_pylist() == sorted_by(states, expected)


def test_many_totals_of_many_rows_in_groups_that_come_late():
    """More words than a line of memory has, more rows than a block, and sums that get wider."""
    choice, names = random.Random(8), [f"x{i}" for i in range(12)]
    frames = []
    for no, size in enumerate([1500, 1, 700]):
        keys = [choice.randrange(3 + 200 * no) for _ in range(size)]
        drawn = [choice.choices([None, 0.5, 3.0 ** (9 * no)], k=size) for _ in names]
        frames.append(pa.table([pa.array(keys), *(pa.array(x, pa.float64()) for x in drawn)], ["k", *names]))
    functions = ["sum", "count", "min", "max"]
    asked = query(frames[0], ["k"], [f"{fn} {name}" for name in names for fn in functions])

    found = finalize(folded(frames, asked, "require"), asked).table.sort_by("k").to_pandas()

    expected = pa.concat_tables(frames).to_pandas().groupby("k")
    for name in names:
        for fn in ("count", "min", "max"):
            assert found[f"{fn} {name}"].fillna(-1).tolist() == expected[name].agg(fn).fillna(-1).tolist()
        sums = expected[name].agg(lambda x: float(sum(map(Fraction, x.dropna()))) if x.count() else -1)
        assert found[f"sum {name}"].fillna(-1).tolist() == sums.tolist()


def sorted_by(states, values):
    return values[np.argsort(states["k0"].to_numpy())].tolist()


@pytest.mark.parametrize("nulls", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)])
def test_counts_are_those_of_the_rows_until_a_value_is_missing(nulls):
    keys, xs = [[0, 1], [0, 2], [2, 3, 0]], []
    for frame, null in zip(keys, nulls, strict=True):
        xs.append([None if null and i == 0 else 1.5 for i in range(len(frame))])
    frames = [
        pa.table({"k": pa.array(k, pa.int64()), "x": pa.array(x, pa.float64()), "y": pa.array(x[::-1])})
        for k, x in zip(keys, xs, strict=True)
    ]
    asked = query(frames[0], ["k"], ["count x", "mean y", "count"])

    states = by_key(folded(frames, asked, "require"))

    for name, values in (("a0.n", xs), ("a1.n", [x[::-1] for x in xs]), ("rows", keys)):
        pairs = zip(chain(*keys), chain(*values), strict=True)
        counted = Counter(key for key, value in pairs if value is not None)
        assert states[name] == [counted[key] for key in range(4)]


@needs_library
def test_states_are_futile_only_where_many_groups_go_on_to_be_new():
    """A first frame of 40,000 rows has 33,000 of 100,000 groups, and the fold goes on with them."""
    numbers = np.random.default_rng(13).integers(0, 100_000, 200_000)
    frames = [pa.table({"k": part, "x": part}) for part in np.split(numbers, 5)]
    asked = query(frames[0], ["k"], ["sum x"])
    fold = Fold(asked)
    for frame in frames:
        fold.add(frame)
        assert not fold.futile
    assert 80_000 < fold.groups < 100_000
    fold.flush()
    first, then = np.split(np.arange(2 * LEAST_FUTILE), 2)
    fold.add(pa.table({"k": first, "x": first}))
    assert not fold.futile, "a first frame tells nothing, however large it is"
    fold.add(pa.table({"k": then, "x": then}))
    assert fold.futile


def added(fold, frame):
    """Add the frame; returns the rows of each of its pieces."""
    rows = []
    for piece in fold.pieces(frame):
        fold.add(piece)
        rows.append(piece.num_rows)
    return rows


@needs_library
def test_a_frame_is_cut_while_most_rows_begin_a_group_and_only_then():
    numbers = np.arange(4 * PIECE_ROWS)
    new, again = (pa.table({"k": part, "x": part}) for part in (numbers, np.tile(numbers[:9], PIECE_ROWS)))
    fold = Fold(query(new, ["k"], ["sum x"]))

    assert added(fold, new) == [4 * PIECE_ROWS]
    assert added(fold, again) == [PIECE_ROWS, 8 * PIECE_ROWS]
    assert added(fold, new.slice(0, 2 * PIECE_ROWS)) == [2 * PIECE_ROWS]
    states = by_key(fold.flush())
    assert len(states["rows"]) == 4 * PIECE_ROWS
    assert states["rows"][:10] == [PIECE_ROWS + 2] * 9 + [2]


@needs_library
def test_states_of_groups_that_go_on_to_be_new_are_written_before_they_are_many():
    frames = [pa.table({"k": part, "x": part}) for part in np.split(np.arange(6 * LEAST_FUTILE), 2)]
    fold = Fold(query(frames[0], ["k"], ["sum x"]))

    written = [states.num_rows for states in tasks._overflows(fold, iter(frames))]

    assert sum(written) + fold.groups == 6 * LEAST_FUTILE
    _, *others = written
    assert others
    assert max(others) < LEAST_FUTILE + 2 * PIECE_ROWS


@needs_library
def test_first_and_last_of_groups_are_those_of_the_whole_frame_where_it_is_cut(monkeypatch):
    monkeypatch.setattr("worker_service.kernels.engine.fold.PIECE_ROWS", 7)
    keys = [*range(100), *range(100)]
    frames = [pa.table({"k": keys, "x": [f"{start + row}" for row in range(200)]}) for start in (0, 1000)]
    asked = query(frames[0], ["k"], ["first x", "last x"])
    fold = Fold(asked)
    rows = []
    for frame in (pa.table({"k": [200, 201], "x": ["a", "b"]}), *frames):
        rows += added(fold, frame)

    found = finalize(fold.flush(), asked).table.sort_by("k")

    assert rows[:3] == [2, 7, 7]
    assert found.column(1).to_pylist() == [*map(str, range(100)), "a", "b"]
    assert found.column(2).to_pylist() == [*map(str, range(1100, 1200)), "a", "b"]


@needs_library
def test_the_last_piece_of_a_frame_is_not_kept():
    frame = pa.table({"k": np.arange(3 * PIECE_ROWS), "x": np.arange(3 * PIECE_ROWS)})
    fold = Fold(query(frame, ["k"], ["sum x"]))
    fold.add(frame)
    before = pa.total_allocated_bytes()
    pieces = fold.pieces(frame.take(pa.array(np.arange(frame.num_rows))))
    sizes = [next(pieces).num_rows for _ in range(3)]

    assert sizes == [PIECE_ROWS] * 3
    assert pa.total_allocated_bytes() == before


@needs_library
@pytest.mark.parametrize("setting", PATHS)
def test_states_that_are_refused_are_forgotten(setting):
    frame = pa.table({"k": [1, 2, 3], "x": [1, 2, 3]})
    with path(setting):
        fold = Fold(replace(query(frame, ["k"], ["sum x"]), max_groups=2))
    fold.add(frame)
    with pytest.raises(GroupLimitExceeded):
        fold.flush()
    fold.add(pa.table({"k": [7, 8], "x": [5, 6]}))

    assert by_key(fold.flush())["rows"] == [1, 1]
