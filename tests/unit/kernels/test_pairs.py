"""sem, cov and corr against exact arithmetic with Fractions, on data that is hard for floating point."""

import math
from decimal import Decimal
from fractions import Fraction

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tests.unit.kernels.queries import exact_var, is_nearest_root, nearest, only, query, rows
from tests.unit.kernels.test_exact_numbers import HOSTILE, random
from worker_service.kernels import combine, finalize, partial


def exact_cov(ys, xs):
    ys, xs = [Fraction(y) for y in ys], [Fraction(x) for x in xs]
    mean_y, mean_x = sum(ys) / len(ys), sum(xs) / len(xs)
    return sum(((y - mean_y) * (x - mean_x) for y, x in zip(ys, xs, strict=True)), Fraction(0)) / (
        len(ys) - 1
    )


def check_pair(found, ys, xs):
    assert found["cov y x"] == nearest(exact_cov(ys, xs))
    spread = exact_var(ys) * exact_var(xs)
    if not spread:
        assert found["corr y x"] is None
        return
    assert is_nearest_root(abs(found["corr y x"]), exact_cov(ys, xs) ** 2 / spread)
    assert (found["corr y x"] > 0) == (exact_cov(ys, xs) > 0)


def pair(ys, xs, semantics="sql"):
    return rows(pa.table({"y": ys, "x": xs}), [], ["cov y x", "corr y x"], semantics)[None]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_standard_error_is_the_root_of_the_exact_variance_over_n(name):
    values = HOSTILE[name](random())
    found = only(values, ["sem x", "sem x 0"])
    exact = values.tolist()
    assert is_nearest_root(found["sem x 0"], exact_var(exact, 0) / len(exact))
    if len(exact) == 1:
        assert found["sem x"] is None
    else:
        assert is_nearest_root(found["sem x"], exact_var(exact) / len(exact))


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "one value"])
@pytest.mark.parametrize(
    "other",
    ["ordinary", "24 decades", "offset", "denormals", "huge", "huge and tiny", "itself", "its opposite"],
)
def test_cov_and_corr_of_doubles_are_the_exact_values_rounded_once(name, other):
    ys = HOSTILE[name](random())[-100:]
    made = {"itself": lambda: 0.75 * ys, "its opposite": lambda: -ys}
    xs = made[other]() if other in made else np.resize(HOSTILE[other](random(2)), len(ys))
    check_pair(pair(ys, xs), ys.tolist(), xs.tolist())


def test_the_correlation_of_a_column_with_itself_is_exactly_one():
    for name in ("ordinary", "24 decades", "offset", "denormals", "huge"):
        values = HOSTILE[name](random())
        assert pair(values, values)["corr y x"] == 1.0
        assert pair(values, -values)["corr y x"] == -1.0


@pytest.mark.parametrize(
    "kinds",
    [
        ("int", "int"),
        ("int", "float"),
        ("decimal", "float"),
        ("decimal", "int"),
        ("wide", "decimal"),
        ("wide", "wide"),
    ],
)
def test_cov_and_corr_of_mixed_types_are_exact(kinds):
    r = random(7)
    make = {
        "int": lambda: pa.array(r.integers(-(2**63), 2**63 - 1, 200) >> r.integers(0, 63, 200)),
        "float": lambda: pa.array(r.standard_normal(200) * 10.0 ** r.integers(-20, 300, 200)),
        "decimal": lambda: pa.array(
            [Decimal(int(n)).scaleb(-4) for n in r.integers(-(10**17), 10**17, 200)], pa.decimal128(18, 4)
        ),
        "wide": lambda: pa.array(
            [Decimal(int(a) * int(b)).scaleb(-9) for a, b in r.integers(-(10**18), 10**18, (200, 2))],
            pa.decimal128(38, 9),
        ),
    }
    ys, xs = make[kinds[0]](), make[kinds[1]]()
    check_pair(pair(ys, xs), ys.to_pylist(), xs.to_pylist())


def test_only_rows_where_both_are_present_count():
    ys = pa.array([1.0, None, 2.0, 3.5, None, 8.0])
    xs = pa.array([2.0, 5.0, None, 1.5, None, 4.0])
    check_pair(pair(ys, xs), [1.0, 3.5, 8.0], [2.0, 1.5, 4.0])
    assert pair(ys.slice(0, 3), xs.slice(0, 3)) == {"cov y x": None, "corr y x": None}


def test_a_nan_or_an_infinity_makes_cov_and_corr_nan_but_nan_is_missing_in_pandas():
    for value in (math.nan, math.inf, -math.inf):
        for ys, xs in (
            ([1.0, 2.0, value], [3.0, 4.0, 5.0]),
            ([3.0, 4.0, 5.0], [1.0, 2.0, value]),
            ([value, 1.0], [value, 1.0]),
        ):
            assert all(math.isnan(found) for found in pair(ys, xs).values())
    assert pair([1.0, 2.0, math.nan], [1.0, 5.0, 2.0], "pandas") == {"cov y x": 2.0, "corr y x": 1.0}


def test_a_column_that_does_not_vary_has_a_covariance_of_zero_and_no_correlation():
    assert pair([0.1] * 5, [1.0, 2.0, 3.0, 4.0, 5.5]) == {"cov y x": 0.0, "corr y x": None}
    assert pair([1, 2], [7, 7]) == {"cov y x": 0.0, "corr y x": None}


def test_many_groups_agree_with_duckdb_and_are_exact():
    r = random(3)
    frame = pa.table(
        {"g": r.integers(0, 300, 6000), "y": r.standard_normal(6000) + 100, "x": r.integers(-50, 50, 6000)}
    )
    found = rows(frame, ["g"], ["cov y x", "corr y x", "sem y"])
    expected = duckdb.sql("SELECT g, covar_samp(y, x), corr(y, x), sem(y) FROM frame GROUP BY g").fetchall()
    columns = [column.to_pylist() for column in frame.columns]
    for group, cov, corr, _ in expected:
        assert found[group]["cov y x"] == pytest.approx(cov, rel=1e-9, abs=1e-9)
        assert found[group]["corr y x"] == pytest.approx(corr, rel=1e-9, abs=1e-9)
        ys, xs = zip(*((y, x) for key, y, x in zip(*columns, strict=True) if key == group), strict=True)
        check_pair({name: found[group][name] for name in ("cov y x", "corr y x")}, ys, xs)
        assert is_nearest_root(found[group]["sem y"], exact_var(ys) / len(ys))


def test_a_group_of_more_rows_than_a_digit_can_count_stays_exact():
    ys, xs = [0.1, 1e17, -3.0, 2.0**-40], [1e-3, 5.0, 2.0**60, -7.0]
    frame = pa.table({"y": ys, "x": xs})
    asked = query(frame, [], ["cov y x", "corr y x", "sem y"])
    states = partial(frame, asked)
    for _ in range(40):
        states = combine([states, states], asked)
    found = finalize(states, asked).table.to_pylist()[0]
    n = 4 * 2**40
    assert found["cov y x"] == nearest(exact_cov(ys, xs) * 3 / 4 * n / (n - 1))
    assert is_nearest_root(abs(found["corr y x"]), exact_cov(ys, xs) ** 2 / (exact_var(ys) * exact_var(xs)))
    assert is_nearest_root(found["sem y"], exact_var(ys, 0) / (n - 1))
