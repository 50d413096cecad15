import math
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import INT64, Field, Schema
from tests.support.expressions import parse_text
from tests.unit.kernels.queries import exact_sum, exact_var, is_nearest_root, nearest, only, query, rows
from worker_service.kernels import combine, finalize, partial
from worker_service.kernels.exact.summation import sum_floats

LARGEST = 2**63 - 1


def random(seed=1):
    return np.random.default_rng(seed)


HOSTILE = {
    "ordinary": lambda r: np.round(r.random(3000) * 100, 6),
    "24 decades": lambda r: r.standard_normal(3000) * 10.0 ** r.uniform(-12, 12, 3000),
    "600 decades": lambda r: r.standard_normal(500) * 10.0 ** r.uniform(-300, 300, 500),
    "cancellation": lambda r: np.concatenate([r.random(1000), [1e16], r.random(1000), [-1e16]]),
    "offset": lambda r: 1e9 + r.standard_normal(2000),
    "denormals": lambda r: np.arange(-500, 1000) * 5e-324,
    "the edge of denormals": lambda r: r.standard_normal(500) * 2.3e-308,
    "huge": lambda r: r.standard_normal(300) * 1e300,
    "huge and tiny": lambda r: np.array([1e308, -1e308, 5e-324, 1e-160, 1e160, 1.0, -1e-300, 0.0]),
    "powers of two": lambda r: 2.0 ** r.integers(-1000, 1000, 300),
    "half a unit": lambda r: np.array(
        [1.0, 2.0**-53, 2.0**-53, 2.0**-106, 2.0**53, 1.0, 2.0**31 - 0.5, 2.0**31, -(2.0**-65)]
    ),
    "a mean among the denormals": lambda r: np.array([2.0**-1020, 11 * 5e-324, 0, 0, 0, 0, 0, 0]),
    "signed zeros": lambda r: np.array([-0.0, 0.0, -0.0]),
    "two values": lambda r: r.random(2),
    "one value": lambda r: r.random(1) - 0.5,
    "equal values": lambda r: np.full(1001, 0.1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_sum_mean_var_and_std_of_doubles_are_the_exact_values_rounded_once(name):
    values = HOSTILE[name](random())
    found = only(values, ["sum x", "mean x", "var x", "var x 0", "std x", "std x 0"])
    exact = values.tolist()
    assert found["sum x"] == nearest(exact_sum(exact))
    assert found["mean x"] == nearest(exact_sum(exact) / len(exact))
    for ddof, suffix in ((1, ""), (0, " 0")):
        if len(exact) <= ddof:
            assert found[f"var x{suffix}"] is None
            continue
        variance = exact_var(exact, ddof)
        assert found[f"var x{suffix}"] == nearest(variance)
        assert is_nearest_root(found[f"std x{suffix}"], variance)


def test_a_sum_is_the_one_that_fsum_gives_in_each_of_many_small_groups():
    r = random()
    frame = pa.table(
        {"g": r.integers(0, 2000, 9000), "x": r.standard_normal(9000) * 10.0 ** r.integers(-3, 4, 9000)}
    )
    found = rows(frame, ["g"], ["sum x", "mean x", "var x", "std x"])
    groups = {}
    for key, value in zip(*(column.to_pylist() for column in frame.columns), strict=True):
        groups.setdefault(key, []).append(value)
    assert found.keys() == groups.keys()
    for key, values in groups.items():
        assert found[key]["sum x"] == math.fsum(values)
        assert found[key]["mean x"] == nearest(exact_sum(values) / len(values))
        if len(values) > 1:
            assert found[key]["var x"] == nearest(exact_var(values))
            assert is_nearest_root(found[key]["std x"], exact_var(values))


def test_no_sum_is_minus_zero():
    found = only(np.array([-0.0, -0.0]), ["sum x", "mean x", "min x", "max x", "var x"])
    assert [math.copysign(1.0, value) for value in found.values()] == [1.0] * 5


def test_the_variance_of_huge_values_overflows_to_infinity_and_that_of_equal_ones_is_zero():
    assert only(np.array([1e300, -1e300]), ["var x", "std x"]) == {
        "var x": math.inf,
        "std x": nearest_root(exact_var([1e300, -1e300])),
    }
    assert only(np.full(7, 1e300), ["var x", "std x"]) == {"var x": 0.0, "std x": 0.0}


def nearest_root(square):
    scale = 2**4000
    return nearest(Fraction(math.isqrt(square.numerator * scale**2 // square.denominator), scale))


@pytest.mark.parametrize(
    ("values", "total", "least", "most"),
    [
        ([1.0, math.inf], math.inf, 1.0, math.inf),
        ([1.0, -math.inf], -math.inf, -math.inf, 1.0),
        ([math.inf, -math.inf], math.nan, -math.inf, math.inf),
        ([1.0, math.nan], math.nan, 1.0, math.nan),
        ([math.nan, math.nan], math.nan, math.nan, math.nan),
        ([math.inf, math.nan], math.nan, math.inf, math.nan),
        ([1e308, 1e308], math.inf, 1e308, 1e308),
    ],
)
def test_infinities_add_up_and_a_nan_propagates_and_is_above_all_numbers(values, total, least, most):
    found = only(np.array(values), ["sum x", "min x", "max x", "var x"])
    assert repr((found["sum x"], found["min x"], found["max x"])) == repr((total, least, most))
    assert math.isfinite(sum(values)) or math.isnan(found["var x"]) or values[0] == 1e308


@pytest.mark.parametrize(
    "values",
    [
        [LARGEST] * 5,
        [-LARGEST - 1] * 7,
        [LARGEST, -LARGEST - 1, 17, -(2**31), 2**31, 2**32 - 1, -(2**62)],
        [3_037_000_500, -3_037_000_500, 1],
        [-3, 1, 2],
        [0],
    ],
)
def test_integer_moments_are_exact_and_never_wrap(values):
    found = only(pa.array(values, pa.int64()), ["sum x", "mean x", "var x 0", "std x 0"])
    assert found["sum x"] == sum(values)
    assert found["mean x"] == sum(values) / len(values)
    assert found["var x 0"] == nearest(exact_var(values, 0))
    assert is_nearest_root(found["std x 0"], exact_var(values, 0))


def test_random_integers_of_every_size_keep_every_digit():
    r = random()
    values = r.integers(-(2**63), LARGEST, 3000) >> r.integers(0, 63, 3000)
    found = only(values, ["sum x", "mean x", "var x"])
    assert found == {
        "sum x": sum(values.tolist()),
        "mean x": sum(values.tolist()) / 3000,
        "var x": nearest(exact_var(values.tolist())),
    }


def test_an_integer_sum_is_int64_until_a_group_needs_more_and_then_says_so():
    small = pa.table({"g": [1, 1, 2], "x": [LARGEST, 0, -LARGEST - 1]})
    large = pa.table({"g": [1, 1, 2], "x": [LARGEST, 1, 5]})
    for frame, kind, widened in ((small, pa.int64(), []), (large, pa.decimal128(38, 0), ["sum x"])):
        asked = query(frame, ["g"], ["sum x"])
        result = finalize(combine([partial(frame, asked)], asked), asked)
        assert (result.table["sum x"].type, result.widened) == (kind, widened)


@pytest.mark.parametrize(
    ("having", "kind", "widened"),
    [("s < 6", "int64", []), ("s > 5", "decimal(38,0)", ["s"]), ("s < 0", "int64", [])],
)
def test_only_the_groups_that_having_keeps_decide_the_type_of_a_sum(having, kind, widened):
    frame = pa.table({"g": [1, 1, 2], "x": [LARGEST, 1, 5]})
    asked = JobSpec.model_validate(
        {
            "source": {"uris": ["file:///data/a.csv"]},
            "group_by": ["g"],
            "aggregates": [{"fn": "sum", "column": "x", "as": "s"}],
            "having": having,
        }
    )
    bound = bind(asked, Schema((Field("g", INT64), Field("x", INT64))))
    result = finalize(combine([partial(frame, bound)], bound), bound, parse_text)
    expected = pa.int64() if kind == "int64" else pa.decimal128(38, 0)
    assert (result.table["s"].type, result.widened) == (expected, widened)


def test_decimals_are_exact_to_the_last_digit():
    r = random()
    values = [Decimal(int(n)).scaleb(-4) for n in r.integers(-(10**18) + 1, 10**18, 777)]
    found = only(
        pa.array(values, pa.decimal128(18, 4)), ["sum x", "mean x", "var x", "std x", "min x", "max x"]
    )
    exact = Context(prec=80, rounding=ROUND_HALF_EVEN)
    total = Decimal(sum(int(value.scaleb(4)) for value in values)).scaleb(-4, exact)
    assert found["sum x"] == total
    assert found["mean x"] == exact.divide(total, Decimal(777)).quantize(Decimal("1e-10"), context=exact)
    assert found["var x"] == nearest(exact_var(values))
    assert is_nearest_root(found["std x"], exact_var(values))
    assert (found["min x"], found["max x"]) == (min(values), max(values))


@pytest.mark.parametrize("units", [1, 3, -1, -3, 5, 10**15, -(10**15) - 1])
def test_a_decimal_mean_rounds_half_to_even_at_six_more_digits(units):
    values = [Decimal(units).scaleb(-2)] + [Decimal("0.00")] * 1_999_999
    found = only(pa.array(values, pa.decimal128(18, 2)), ["mean x"])["mean x"]
    assert found == (Decimal(units).scaleb(-2) / 2_000_000).quantize(Decimal("1e-8"), ROUND_HALF_EVEN)


def test_a_batch_of_more_rows_than_a_double_can_add_stays_exact():
    rows_, size = 2**22 + 5, 2**21
    limbs = sum_floats(np.full(rows_, 2.0**31 - 1), np.zeros(rows_, np.int64), size)
    assert sum(int(digits[0]) << (32 * j) for j, digits in limbs.items()) == rows_ * (2**31 - 1)


def test_a_group_of_more_rows_than_a_digit_can_count_stays_exact():
    frame = pa.table({"x": [0.1, 1e17, -3.0, 2.0**-40], "n": [LARGEST, LARGEST, -5, LARGEST]})
    asked = query(frame, [], ["sum x", "sum n", "count x"])
    states = partial(frame, asked)
    for _ in range(50):
        states = combine([states, states], asked)
    found = finalize(states, asked).table.to_pylist()[0]
    exact = exact_sum(frame["x"].to_pylist()) * 2**50
    assert found == {"sum x": nearest(exact), "sum n": (3 * LARGEST - 5) * 2**50, "count x": 4 * 2**50}
    assert all(states[name].type == pa.int32() for name in states.column_names if "_" in name)
