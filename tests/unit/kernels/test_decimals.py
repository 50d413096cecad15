"""Decimals of any length, against Python's decimal module."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import ValueOutOfRange
from tests.unit.kernels.queries import exact_var, is_nearest_root, nearest, only, rows

EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)
AGGREGATES = ["sum x", "mean x", "min x", "max x", "var x", "std x"]


def random_decimals(digits, scale, size, seed=1):
    r = np.random.default_rng(seed)
    whole = [
        int("".join(map(str, r.integers(0, 10, digits)))) * int(sign) for sign in r.choice([-1, 1], size)
    ]
    return [Decimal(n).scaleb(-scale, EXACT) for n in whole]


@pytest.mark.parametrize(
    ("precision", "digits", "scale", "places"),
    [(18, 18, 4, 10), (19, 19, 2, 8), (30, 29, 10, 16), (38, 36, 5, 5), (38, 9, 38, 38)],
)
def test_sum_mean_min_max_var_and_std_are_exact_to_the_last_digit(precision, digits, scale, places):
    values = random_decimals(digits, scale, 77)
    found = only(pa.array(values, pa.decimal128(precision, scale)), AGGREGATES)
    total = sum(values, Decimal(0)) if precision < 20 else _sum(values)
    assert found["sum x"] == total
    assert found["mean x"] == EXACT.divide(total, Decimal(77)).quantize(
        Decimal(1).scaleb(-places), context=EXACT
    )
    assert (found["min x"], found["max x"]) == (min(values), max(values))
    assert found["var x"] == nearest(exact_var(values))
    assert is_nearest_root(found["std x"], exact_var(values))


def _sum(values):
    total = Decimal(0)
    for value in values:
        total = EXACT.add(total, value)
    return total


def test_every_group_of_long_decimals_has_its_own_extremes():
    values = random_decimals(37, 3, 500)
    groups = [i % 90 for i in range(500)]
    found = rows(
        pa.table({"g": groups, "x": pa.array(values, pa.decimal128(38, 3))}),
        ["g"],
        ["min x", "max x", "sum x"],
    )
    for group in range(90):
        mine = values[group::90]
        assert found[group] == {"min x": min(mine), "max x": max(mine), "sum x": _sum(mine)}


def test_a_sum_that_needs_39_digits_is_refused():
    most, least = Decimal(10**38 - 1), Decimal(1 - 10**38)
    assert only(pa.array([most, least, most], pa.decimal128(38, 0)), ["sum x"])["sum x"] == most
    for values in ([most, Decimal(1)], [least, Decimal(-1)], [most] * 9, [least] * 9):
        with pytest.raises(ValueOutOfRange, match="38 digits"):
            only(pa.array(values, pa.decimal128(38, 0)), ["sum x"])


@pytest.mark.parametrize("value", [10**38 - 1, 1 - 10**38])
def test_a_mean_always_fits_even_where_the_sum_does_not(value):
    assert only(pa.array([Decimal(value)] * 9, pa.decimal128(38, 0)), ["mean x"]) == {
        "mean x": Decimal(value)
    }


def lineitem(size=4000):
    """Rows with the value ranges of TPC-H's lineitem (specification, clause 4.2.3)."""
    r = np.random.default_rng(100)
    quantity = [Decimal(int(n)) for n in r.integers(1, 51, size)]
    price = [
        Decimal(int(n)).scaleb(-2) * q
        for n, q in zip(r.integers(90_000, 200_000, size), quantity, strict=True)
    ]
    discount, tax = ([Decimal(int(n)).scaleb(-2) for n in r.integers(0, most + 1, size)] for most in (10, 8))
    flags, statuses = r.choice(list("ANR"), size).tolist(), r.choice(list("FO"), size).tolist()
    return {
        "l_returnflag": flags,
        "l_linestatus": statuses,
        "q": quantity,
        "p": price,
        "d": discount,
        "t": tax,
    }


def test_the_decimal_columns_of_a_price_list_are_summed_as_python_sums_them():
    columns = lineitem()
    money = pa.decimal128(15, 2)
    frame = pa.table(
        {name: pa.array(values, money) if name in "qpdt" else values for name, values in columns.items()}
    )
    found = rows(
        frame,
        ["l_returnflag", "l_linestatus"],
        [f"{fn} {c}" for c in "qpdt" for fn in ("sum", "mean", "var")],
    )
    groups = {}
    for flag, status, *values in zip(*columns.values(), strict=True):
        groups.setdefault((flag, status), []).append(values)
    assert found.keys() == groups.keys()
    for key, members in groups.items():
        for name, values in zip("qpdt", zip(*members, strict=True), strict=True):
            assert found[key][f"sum {name}"] == _sum(values)
            mean = EXACT.divide(_sum(values), Decimal(len(values))).quantize(Decimal("1e-8"), context=EXACT)
            assert str(found[key][f"mean {name}"]) == format(mean, "f")
            assert found[key][f"var {name}"] == nearest(exact_var(values))
