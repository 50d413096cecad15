"""nunique, mode, median and quantile: against pandas, DuckDB and exact fractions."""

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shared.errors import StateTooLarge
from tests.support.native import needs_library, path
from tests.unit.kernels.queries import nearest, only, query, rows
from tests.unit.kernels.test_exact_numbers import HOSTILE, random
from tests.unit.kernels.test_picks import asked_as_text, random_frame
from worker_service.kernels import Fold, combine, finalize, partial
from worker_service.native import library

QS = [0, 0.1, 0.25, 0.5, 0.95, 0.999, 1, 0.3333333333333333]


def exact_quantile(values, q):
    """Of any exact numbers; *q* is read as it is written."""
    values, at = sorted(map(Fraction, values)), (len(values) - 1) * Fraction(Decimal(repr(q)))
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


@pytest.mark.parametrize("name", HOSTILE)
def test_quantiles_of_doubles_are_the_exact_values_rounded_once(name):
    values = HOSTILE[name](random())
    found = only(values, ["median x", *(f"quantile x {q}" for q in QS)])
    exact = values.tolist()
    assert found == {"median x": nearest(exact_quantile(exact, 0.5))} | {
        f"quantile x {q}": nearest(exact_quantile(exact, q)) for q in QS
    }


def test_quantiles_of_integers_of_every_size_are_exact():
    r = random()
    values = (r.integers(-(2**63), 2**63 - 1, 501) >> r.integers(0, 63, 501)).tolist()
    found = only(values, [f"quantile x {q}" for q in QS])
    assert found == {f"quantile x {q}": nearest(exact_quantile(values, q)) for q in QS}


@pytest.mark.parametrize(("precision", "scale", "places"), [(9, 2, 8), (18, 4, 10), (30, 3, 9), (38, 3, 3)])
def test_quantiles_of_decimals_round_half_to_even_at_six_more_digits_where_there_is_room(
    precision, scale, places
):
    r = np.random.default_rng(1)
    units = [int(a) * int(b) % 10 ** (precision - 1) for a, b in r.integers(-(10**17), 10**17, (60, 2))]
    values = [Decimal(n).scaleb(-scale, Context(prec=60)) for n in units]
    found = only(pa.array(values, pa.decimal128(precision, scale)), [f"quantile x {q}" for q in QS])
    unit = Fraction(1, 10**places)
    for q in QS:
        assert Fraction(found[f"quantile x {q}"]) == round(exact_quantile(values, q) / unit) * unit


def test_a_median_of_decimals_on_a_tie_goes_to_the_even_digit():
    context = Context(prec=50, rounding=ROUND_HALF_EVEN)
    for last in (1, 2, 3):
        values = [Decimal(0), Decimal(last).scaleb(-3)]
        found = only(pa.array(values, pa.decimal128(38, 3)), ["median x"])["median x"]
        assert found == (values[1] / 2).quantize(Decimal("0.001"), context=context)


@pytest.mark.parametrize("column", ["i", "f"])
@pytest.mark.parametrize("semantics", ["sql", "pandas"])
def test_groups_have_the_quantiles_of_pandas_or_where_nan_is_a_value_of_duckdb(column, semantics):
    frame = random_frame()
    found = rows(frame, ["g"], [f"median {column}", f"quantile {column} 0.3"], semantics)
    if semantics == "pandas":
        grouped = frame.to_pandas().groupby("g")[column]
        expected = dict(
            zip(
                grouped.median().index, zip(grouped.median(), grouped.quantile(0.3), strict=True), strict=True
            )
        )
    else:
        sql = f"SELECT g, quantile_cont({column}, 0.5), quantile_cont({column}, 0.3) FROM frame GROUP BY g"
        expected = {key: (a, b) for key, a, b in duckdb.sql(sql).fetchall()}
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        for one, other in zip(found[key].values(), values, strict=True):
            missing = other is None or (semantics == "pandas" and math.isnan(other))
            assert one is None if missing else one == pytest.approx(other, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("column", ["i", "f", "s", "b"])
@pytest.mark.parametrize("semantics", ["sql", "pandas"])
def test_nunique_counts_values_and_mode_is_the_smallest_of_the_most_frequent(column, semantics):
    frame = random_frame()
    found = rows(frame, ["g"], [f"nunique {column}", f"mode {column}"], semantics)
    if semantics == "pandas":
        grouped = frame.to_pandas().astype({column: object}).groupby("g")[column]
        modes = grouped.agg(lambda values: next(iter(sorted(values.mode())), None))
        expected = {
            key: [n, None if pd.isna(modes[key]) else modes[key]] for key, n in grouped.nunique().items()
        }
        assert {key: list(row.values()) for key, row in found.items()} == expected
    else:
        distinct = dict(duckdb.sql(f"SELECT g, count(DISTINCT {column}) FROM frame GROUP BY g").fetchall())
        most = f"""SELECT g, any_value({column}) FROM (
            SELECT g, {column}, row_number() OVER (PARTITION BY g ORDER BY count(*) DESC, {column}) AS rank
            FROM frame WHERE {column} IS NOT NULL GROUP BY g, {column}) WHERE rank = 1 GROUP BY g"""
        modes = dict(duckdb.sql(most).fetchall())
        expected = {
            key: {f"nunique {column}": n, f"mode {column}": modes.get(key)} for key, n in distinct.items()
        }
        assert asked_as_text(found) == asked_as_text(expected)


def test_nunique_and_mode_take_every_type():
    long = [Decimal(10**37), Decimal(10**37 + 1), Decimal(10**37 + 1), None]
    assert only(pa.array(long, pa.decimal128(38, 0)), ["nunique x", "mode x"]) == {
        "nunique x": 2,
        "mode x": Decimal(10**37 + 1),
    }
    times = pa.array([5, 3, 3, 5, None], pa.timestamp("us", tz="UTC"))
    assert only(times, ["nunique x", "mode x"]) == {"nunique x": 2, "mode x": times[1].as_py()}


def test_infinities_and_nan_stand_at_their_end_of_the_order():
    inf, nan = math.inf, math.nan
    for values, q, expected in [
        ([1.0, nan], 0.5, nan),
        ([1.0, 2.0, nan], 0.5, 2.0),
        ([1.0, inf], 0.5, inf),
        ([-inf, 1.0], 0.5, -inf),
        ([-inf, inf], 0.5, nan),
        ([-inf, 3.0, inf], 0.5, 3.0),
        ([inf, inf], 0.5, inf),
        ([inf, nan], 0, inf),
        ([1e308, 1.7e308], 0.5, 1.35e308),
    ]:
        assert repr(only(np.array(values), [f"quantile x {q}"])[f"quantile x {q}"]) == repr(expected)
    assert only(np.array([nan, 1.0, nan]), ["nunique x", "median x", "mode x"], "pandas") == {
        "nunique x": 1,
        "median x": 1.0,
        "mode x": 1.0,
    }


def test_zeros_are_one_value():
    found = only(np.array([-0.0, 0.0, -0.0, 1.0]), ["nunique x", "mode x", "quantile x 0"])
    assert found["nunique x"] == 2
    assert [math.copysign(1.0, found[name]) for name in ("mode x", "quantile x 0")] == [1.0, 1.0]


def test_a_value_may_occur_more_often_than_32_bits_count():
    frame = pa.table({"x": [1.0, 2.0, 2.0, 7.0]})
    asked = query(frame, [], ["median x", "quantile x 0.9", "mode x", "nunique x"])
    states = partial(frame, asked)
    for _ in range(40):
        states = combine([states, states], asked)
    from worker_service.kernels import finalize

    found = finalize(states, asked).table.to_pylist()[0]
    assert found == {"median x": 2.0, "quantile x 0.9": 7.0, "mode x": 2.0, "nunique x": 3}


def test_values_past_the_limit_are_refused_with_advice():
    frame = pa.table({"x": np.arange(1000) / 7})
    asked = query(frame, [], ["median x"], max_state_bytes=6000)
    fold = Fold(asked)
    fold.add(frame.slice(0, 400))
    fold.finish()
    fold.add(frame.slice(400))
    with pytest.raises(StateTooLarge, match=r"limits\.max_state_bytes"):
        fold.finish()


def test_a_fold_of_values_that_differ_is_flushed_by_the_memory_that_they_take():
    frame = pa.table({"x": np.arange(1000) / 7})
    with path("off"):
        fold = Fold(query(frame, [], ["median x"]))
        fold.add(frame)
        assert fold.futile
        assert fold.groups == 1000
    if library() is not None:
        fold = Fold(query(frame, [], ["median x"]))
        for _ in range(10):
            fold.add(frame)
        assert fold.nbytes >= 10 * frame.nbytes
        assert not fold.futile
        fold.flush()
        assert fold.nbytes < 1000


@needs_library
@pytest.mark.parametrize("asked", ["nunique x", "top x 20"])
def test_values_that_need_not_be_kept_do_not_fill_the_memory_of_a_fold(asked):
    """Of 2,000,000 values 700 differ, or are among the largest."""
    frame = pa.table({"g": np.arange(100_000) % 10, "x": np.arange(100_000) % 70 / 7})
    fold = Fold(query(frame, ["g"], [asked]))
    for _ in range(20):
        fold.add(frame)
        assert fold.nbytes < 20_000_000
    found = finalize(fold.finish(), query(frame, ["g"], [asked])).table
    for row in found.to_pylist():
        assert row[asked] == (7 if asked == "nunique x" else [(60 + row["g"]) / 7] * 20)
