"""Every aggregate of random columns equals that of a few lines of plain Python with exact fractions."""

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.spec.functions import FUNCTIONS
from tests.property.test_kernels import DOUBLES, INTS, TEXTS
from tests.unit.kernels.queries import exact_sum, exact_var, is_nearest_root, nearest, query
from worker_service.kernels import KERNELS, Fold, combine, finalize

FINITE = DOUBLES.filter(math.isfinite)
KINDS = {
    "f": (FINITE, pa.float64()),
    "i": (INTS, pa.int64()),
    "m": (st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-3)), pa.decimal128(18, 3)),
    "s": (TEXTS, pa.utf8()),
    "b": (st.booleans(), pa.bool_()),
}
ORDER = {"s": str.encode}


class Root:
    """Equals the double nearest to sign * sqrt(square)."""

    def __init__(self, square, sign=1):
        self.square, self.sign = square, sign

    def __eq__(self, other):
        return is_nearest_root(abs(other), self.square) and (other == 0 or (other > 0) == (self.sign > 0))

    __hash__ = None


def rounded(exact, column):
    """As a mean or a quantile is: decimals half to even at six more digits."""
    return Decimal(round(exact * 10**9)).scaleb(-9) if column == "m" else nearest(exact)


def exact_quantile(values, q):
    low, over = divmod((len(values) - 1) * Fraction(str(q)), 1)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * over


def moment(ys, xs):
    mean_y, mean_x = exact_sum(ys) / len(ys), exact_sum(xs) / len(xs)
    return sum(
        ((Fraction(y) - mean_y) * (Fraction(x) - mean_x) for y, x in zip(ys, xs, strict=True)), Fraction(0)
    )


def correlation(ys, xs):
    both = moment(ys, ys) * moment(xs, xs)
    return Root(moment(ys, xs) ** 2 / both, moment(ys, xs)) if both else None


def of_values(name, column, rows):
    """The aggregates of one column; *rows* are its values in file order, None among them."""
    values = [value for value in rows if value is not None]
    ranked, n = sorted(values, key=ORDER.get(column)), len(values)
    if name in {"count", "nunique"}:
        return n if name == "count" else len(set(values))
    if name in {"first", "last"}:
        return (rows or [None])[0 if name == "first" else -1]
    if not values or (name in {"var", "std", "sem"} and n < 2):
        return None
    return {
        "sum": lambda: {"f": nearest, "i": int, "m": lambda exact: Decimal(int(exact * 1000)).scaleb(-3)}[
            column
        ](exact_sum(values)),
        "mean": lambda: rounded(exact_sum(values) / n, column),
        "min": lambda: ranked[0],
        "max": lambda: ranked[-1],
        "var": lambda: nearest(exact_var(values)),
        "std": lambda: Root(exact_var(values)),
        "sem": lambda: Root(exact_var(values) / n),
        "any": lambda: any(values),
        "all": lambda: all(values),
        "mode": lambda: max(ranked, key=Counter(values).get),
        "median": lambda: rounded(exact_quantile([Fraction(value) for value in ranked], 0.5), column),
        "quantile": lambda: rounded(exact_quantile([Fraction(value) for value in ranked], 0.3), column),
        "top": lambda: ranked[::-1][:3],
        "bottom": lambda: ranked[:3],
    }[name]()


def of_pairs(name, ys, xs):
    """The aggregates of two columns, None among both."""
    if name in {"arg_min", "arg_max"}:
        found = [(x, y) for y, x in zip(ys, xs, strict=True) if x is not None]
        return (min if name == "arg_min" else max)(found, key=lambda pair: pair[0], default=(None, None))[1]
    both = [(y, x) for y, x in zip(ys, xs, strict=True) if y is not None and x is not None]
    if len(both) < 2:
        return None
    ys, xs = zip(*both, strict=True)
    return nearest(moment(ys, xs) / (len(ys) - 1)) if name == "cov" else correlation(ys, xs)


def columns(kind):
    values, of = KINDS[kind]
    return st.lists(st.none() | values, max_size=12).map(lambda items: pa.array(items, of))


def computed(frame, text):
    """The result of every row in a chunk of its own, in the reverse order."""
    asked = query(frame, [], [text])
    states = []
    for chunk in range(frame.num_rows):
        fold = Fold(asked, chunk)
        fold.add(frame.slice(chunk, 1))
        states.append(fold.finish())
    return finalize(combine(states[::-1], asked), asked).table.to_pylist()[0][text]


def same(found, expected):
    return found == expected and (not isinstance(found, float) or found or math.copysign(1.0, found) == 1.0)


TAKEN = {"f": "float64", "i": "int64", "m": "decimal", "s": "string", "b": "bool"}
PAIRED = ("cov", "corr", "arg_min", "arg_max")
ONE = [
    (name, kind)
    for name in KERNELS
    for kind in KINDS
    if name not in PAIRED and TAKEN[kind] in FUNCTIONS[name].first_accepts.kinds
]
TWO = [(name, y, x) for name in PAIRED for y in "fim" for x in "fim"]
SPELLED = {"quantile": " 0.3", "top": " 3", "bottom": " 3"}


@pytest.mark.parametrize(("name", "kind"), ONE)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_an_aggregate_of_one_column_is_that_of_plain_python(name, kind, data):
    column = data.draw(columns(kind))
    expected = of_values(name, kind, column.to_pylist())
    assert same(computed(pa.table({"x": column}), f"{name} x{SPELLED.get(name, '')}"), expected)


@pytest.mark.parametrize(("name", "y", "x"), TWO)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_an_aggregate_of_two_columns_is_that_of_plain_python(name, y, x, data):
    ys, xs = data.draw(columns(y)), data.draw(columns(x))
    size = min(len(ys), len(xs))
    frame = pa.table({"y": ys.slice(0, size), "x": xs.slice(0, size)})
    assert same(
        computed(frame, f"{name} y x"), of_pairs(name, *(column.to_pylist() for column in frame.columns))
    )


def test_every_function_has_an_oracle():
    assert {name for name, *_ in [*ONE, *TWO]} == set(FUNCTIONS)
