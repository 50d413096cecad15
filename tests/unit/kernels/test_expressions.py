"""Expressions against Python: exact fractions, its own floor, modulo and rounding, zoneinfo."""

import datetime as dt
import itertools
import math
import operator as operators
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from shared.spec.expressions import ExpressionError, check, parse
from shared.spec.types import parse_type
from tests.support.expressions import DOUBLE, INT, SPECIAL, evaluated, parse_text
from worker_service.arrow import arrow_type
from worker_service.kernels.expressions import probe
from worker_service.kernels.expressions.texts import MOST_BYTES

WIDE = Context(prec=100)
DECIMALS = [Decimal(n).scaleb(-2) for n in (0, 1, -1, 250, -250, 12345, 10**17 + 1, -(10**17) + 1)]
HUGE = [Decimal(text) for text in ("0.0000", "12345678901234567890123456789012.0001", "-7.2500", "0.0003")]
FLOATS = [*DOUBLE, *SPECIAL, 2.675, 1.005, 0.125, 1e22, 123456.785, -0.045, 4503599627370497.5]
KINDS = {
    "int64": INT,
    "float64": FLOATS,
    "decimal(18,2)": DECIMALS,
    "decimal(38,4)": HUGE,
}
MIN, MAX = -(2**63), 2**63 - 1


def frame_of(**columns):
    """Columns from (type, values)."""
    types = {name: parse_type(kind) for name, (kind, _) in columns.items()}
    arrays = {name: pa.array(values, arrow_type(types[name])) for name, (_, values) in columns.items()}
    return pa.table(arrays), types


def answers(text, zone="UTC", **columns):
    frame, types = frame_of(**columns)
    values, errors = evaluated(text, frame, zone, types)
    return values.to_pylist(), errors


def result_type(text, **kinds):
    return check(parse(text), {name: parse_type(kind) for name, kind in kinds.items()}).type


def fits(exact, kind):
    return MIN <= exact <= MAX if kind.kind == "int64" else abs(exact) * 10**kind.scale < 10**kind.precision


def pairs_of(left, right):
    pairs = list(itertools.product(KINDS[left], KINDS[right]))
    return [a for a, _ in pairs], [b for _, b in pairs]


def alike(mine, theirs):
    if isinstance(mine, float) and isinstance(theirs, float):
        return mine == theirs or (math.isnan(mine) and math.isnan(theirs))
    return mine == theirs and type(mine) is type(theirs)


ORACLES = {
    "+": operators.add,
    "-": operators.sub,
    "*": operators.mul,
    "/": operators.truediv,
    "//": operators.floordiv,
    "%": operators.mod,
}
EXACT_KINDS = ["int64", "decimal(18,2)", "decimal(38,4)"]


@pytest.mark.parametrize("right", EXACT_KINDS)
@pytest.mark.parametrize("left", EXACT_KINDS)
@pytest.mark.parametrize("operator", ["+", "-", "*", "//", "%", "/"])
def test_exact_numbers_are_those_of_fractions(operator, left, right):
    a, b = pairs_of(left, right)
    found, errors = answers(f"a {operator} b", a=(left, a), b=(right, b))
    for row, (x, y) in enumerate(zip(map(Fraction, a), map(Fraction, b), strict=True)):
        exact = ORACLES[operator](x, y) if y or operator in {"+", "-", "*"} else None
        if exact is None or operator == "/":
            assert found[row] == (None if exact is None else float(exact))
        else:
            assert (row in errors) == (not fits(exact, result_type(f"a {operator} b", a=left, b=right)))
            assert row in errors or Fraction(found[row]) == exact


def test_integers_that_leave_64_bits_are_errors_of_their_rows():
    found, errors = answers("a + b", a=("int64", [MAX, 1, MIN]), b=("int64", [1, 1, 1]))
    assert found == [None, 2, MIN + 1]
    assert errors == {0: f"column 1: {MAX} + 1 needs more than 64 bits"}
    assert answers("-a", a=("int64", [MIN, None]))[1] == {
        0: f"column 2: the negative of {MIN} needs more than 64 bits"
    }
    assert answers("abs(a)", a=("int64", [MIN, 5]))[0] == [None, 5]
    assert answers("a // -1", a=("int64", [MIN, 5]))[0] == [None, -5]
    assert answers("a ** 2", a=("int64", [2**31, 2**32]))[0] == [2**62, None]


@pytest.mark.parametrize("operator", ["//", "%"])
def test_doubles_are_divided_as_in_python(operator):
    a, b = pairs_of("float64", "float64")
    found, _ = answers(f"a {operator} b", a=("float64", a), b=("float64", b))
    for mine, x, y in zip(found, a, b, strict=True):
        theirs = None if y == 0 else x // y if operator == "//" else x % y
        assert alike(mine, theirs), (x, operator, y, mine, theirs)


def test_a_power_of_doubles_multiplies_from_left_to_right():
    found, _ = answers("a ** 5", a=("float64", FLOATS))
    assert all(alike(mine, x * x * x * x * x) for mine, x in zip(found, FLOATS, strict=True))


def test_a_power_of_decimals_is_exact():
    found, errors = answers("a ** 3", a=("decimal(18,2)", DECIMALS))
    for row, value in enumerate(DECIMALS):
        exact = Fraction(value) ** 3
        assert abs(exact) >= 10**32 if row in errors else Fraction(found[row]) == exact


ORDERS = {"==": 0, "<": -1, ">": 1}


def rank(number):
    """NaN is above all numbers; the others are compared exactly."""
    if isinstance(number, float) and not math.isfinite(number):
        return (2 if math.isnan(number) else 1 if number > 0 else -1, 0)
    return (0, Fraction(number))


@pytest.mark.parametrize(
    ("left", "right"), [("int64", "float64"), ("float64", "int64"), ("float64", "float64")]
)
def test_doubles_and_integers_are_compared_by_their_exact_values(left, right):
    a, b = pairs_of(left, right)
    for operator, order in ORDERS.items():
        found, _ = answers(f"a {operator} b", a=(left, a), b=(right, b))
        theirs = [(rank(x) > rank(y)) - (rank(x) < rank(y)) == order for x, y in zip(a, b, strict=True)]
        assert found == theirs


@pytest.mark.parametrize("digits", [0, 1, 2, 5, 10, 22, 30, -1, -3])
def test_doubles_are_rounded_as_in_python(digits):
    found, _ = answers(f"round(a, {digits})", a=("float64", FLOATS))
    for mine, x in zip(found, FLOATS, strict=True):
        assert alike(mine, round(x, digits) if math.isfinite(x) else x), (x, mine)


@pytest.mark.parametrize("digits", [0, 1, 2, 3, -1, -2, -18])
@pytest.mark.parametrize("kind", EXACT_KINDS)
def test_exact_numbers_are_rounded_half_to_even(kind, digits):
    values = KINDS[kind] + ([15, 25, -15, -25, 50, 150] if kind == "int64" else [])
    found, errors = answers(f"round(a, {digits})", a=(kind, values))
    for row, value in enumerate(values):
        theirs = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN, WIDE)
        if row in errors:
            assert not MIN <= theirs <= MAX
        else:
            assert found[row] == theirs if digits < 4 else found[row] == value


@pytest.mark.parametrize(("name", "oracle"), [("floor", math.floor), ("ceil", math.ceil)])
def test_floor_and_ceil_are_those_of_python(name, oracle):
    for kind, values in KINDS.items():
        found, _ = answers(f"{name}(a)", a=(kind, values))
        finite = [(mine, x) for mine, x in zip(found, values, strict=True) if math.isfinite(x)]
        assert all(mine == oracle(x) for mine, x in finite)


def test_a_negative_number_has_no_root():
    found, errors = answers("sqrt(a)", a=("float64", [2.0, -1.0, -0.0, math.inf, None]))
    assert found == [math.sqrt(2), None, 0.0, math.inf, None]
    assert errors == {1: "column 1: -1.0 has no square root"}


def test_decimals_and_integers_become_the_nearest_doubles_and_back():
    for kind in EXACT_KINDS:
        found, _ = answers("cast(a, 'float64')", a=(kind, KINDS[kind]))
        assert found == [float(Fraction(value)) for value in KINDS[kind]]
    found, errors = answers("cast(a, 'decimal(20,3)')", a=("float64", FLOATS))
    for row, value in enumerate(FLOATS):
        if row in errors:
            assert not math.isfinite(value) or abs(value) >= 10**17
        else:
            assert Fraction(found[row]) == Fraction(round(Fraction(value) * 1000), 1000)


def test_a_cast_to_an_integer_only_takes_whole_numbers():
    found, errors = answers(
        "cast(a, 'int64')", a=("float64", [2.0, 2.5, math.nan, 2.0**63, -(2.0**63), None])
    )
    assert found == [2, None, None, None, MIN, None]
    assert errors[1] == "column 1: 2.5 has no value as int64; round, floor or ceil makes one"
    assert answers("try_cast(a, 'int64')", a=("float64", [2.0, 2.5])) == ([2, None], {})
    assert answers("cast(a, 'int64')", a=("decimal(38,4)", [Decimal("7.0000"), Decimal("7.5000")]))[0] == [
        7,
        None,
    ]
    assert answers("cast(a, 'decimal(3,1)')", a=("int64", [99, 100])) == (
        [Decimal("99.0"), None],
        {1: "column 1: 100 has no value as decimal(3,1)"},
    )


def test_values_as_text_are_written_plainly():
    assert answers("cast(a, 'string')", a=("decimal(38,8)", [Decimal("1E-8"), Decimal("-2.50000000"), None]))[
        0
    ] == [
        "0.00000001",
        "-2.50000000",
        None,
    ]
    assert answers("cast(a, 'string')", a=("float64", [-0.0, 0.1, 1e300, math.nan]))[0] == [
        "0",
        "0.1",
        "1e+300",
        "nan",
    ]
    assert answers("cast(a, 'string')", a=("bool", [True, False]))[0] == ["true", "false"]
    times = [dt.datetime(2024, 1, 1, 10), dt.datetime(1, 1, 1, 0, 0, 1, 500000)]  # noqa: DTZ001
    assert answers("cast(a, 'string')", a=("timestamp", times))[0] == [
        "2024-01-01 10:00:00",
        "0001-01-01 00:00:01.5",
    ]


def test_an_error_in_a_value_that_is_not_taken_is_none():
    columns = {"a": ("int64", [MAX, 1, None]), "b": ("bool", [False, True, None])}
    assert answers("if_else(b, a + 1, 0)", **columns) == ([0, 2, 0], {})
    assert answers("if_else(a > 5, 0, a + 1)", **columns) == ([0, 2, None], {})
    assert answers("b and a + 1 > 0", **columns) == ([False, True, None], {})
    assert answers("not b or a + 1 > 0", **columns) == ([True, True, None], {})
    assert answers("coalesce(a, a + 1)", **columns) == ([MAX, 1, None], {})
    assert answers("if_else(b, 9223372036854775807 + 1, 0)", **columns)[1].keys() == {1}


def test_the_first_error_of_a_row_is_the_one_that_is_told():
    found, errors = answers("(a + 1) * (a + 2) > 0 and b", a=("int64", [MAX]), b=("bool", [False]))
    assert found == [None]
    assert errors == {0: f"column 2: {MAX} + 1 needs more than 64 bits"}
    assert answers("a + 1 > 0 and b", a=("int64", [MAX]), b=("bool", [False]))[1].keys() == {0}


def test_logic_has_three_values():
    truths = [True, False, None]
    a, b = zip(*itertools.product(truths, truths), strict=True)
    columns = {"a": ("bool", a), "b": ("bool", b)}
    assert answers("a and b", **columns)[0] == [
        False if x is False or y is False else None if None in {x, y} else True
        for x, y in zip(a, b, strict=True)
    ]
    assert answers("a or b", **columns)[0] == [
        True if x is True or y is True else None if None in {x, y} else False
        for x, y in zip(a, b, strict=True)
    ]
    assert answers("a in (True, None)", **columns)[0] == [x or None for x in a]


def test_white_space_is_trimmed_as_in_python():
    texts = [chr(code) + "a" + chr(code) for code in range(0x3001) if not 0xD800 <= code < 0xE000]
    assert answers("trim(a)", a=("string", texts))[0] == [text.strip() for text in texts]


def test_a_dictionary_with_a_null_among_its_values_is_read():
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    values, _ = evaluated("coalesce(t, 'none')", pa.table({"t": column}))
    assert values.to_pylist() == ["a", "none", "none", "a"]
    values, errors = evaluated(
        "cast(t, 'int64')", pa.table({"t": pa.array(["1", "x", None, "x"] * 3).dictionary_encode()})
    )
    assert values.to_pylist() == [1, None, None, None] * 3
    assert errors[9] == 'column 1: "x" is no int64'


def test_texts_are_read_by_the_grammar_of_the_readers():
    columns = {"a": ("string", ["2024-02-29", "2023-02-29", "7", None])}
    assert answers("cast(a, 'date')", **columns)[1].keys() == {1, 2}
    assert answers("try_cast(a, 'int64')", **columns) == ([None, None, 7, None], {})
    found, errors = answers("strptime(a, '%d/%m/%Y')", a=("string", ["29/02/2024", "2024"]))
    assert found == [dt.datetime(2024, 2, 29), None]  # noqa: DTZ001
    assert errors == {1: "column 1: \"2024\" is no timestamp of the format '%d/%m/%Y'"}


def test_a_text_that_grows_too_long_is_an_error_of_its_row():
    long = "a" * (MOST_BYTES // 2)
    found, errors = answers("replace(a, 'a', 'bcd')", a=("string", [long, "ab", None]))
    assert found == [None, "bcdb", None]
    assert errors == {0: f"column 1: replace makes a text of more than {MOST_BYTES:,} bytes"}
    assert answers("concat(a, a, 'x')", a=("string", [long, "ab", None]))[1].keys() == {0}


def test_a_pattern_that_re2_refuses_is_found_without_a_row():
    typed = check(parse("matches(s, 'a{1001}') or b"), {"s": parse_type("string"), "b": parse_type("bool")})
    with pytest.raises(
        ExpressionError, match=r"column 1: matches needs a pattern of RE2: invalid repetition"
    ):
        probe(typed, parse_text)
    probe(check(parse("extract(s, '(?i)(a)(b)') == 'a'"), {"s": parse_type("string")}), parse_text)


def test_an_expression_without_columns_has_a_value_for_each_row():
    frame = pa.table({"a": pa.array([1, 2, 3])})
    assert evaluated("1 + 1", frame)[0].to_pylist() == [2, 2, 2]
    assert evaluated("1 + 1", frame.slice(0, 0))[0].to_pylist() == []


ZONES = ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "UTC"]
MOMENTS = [
    dt.datetime(year, month, day, hour, minute, tzinfo=dt.UTC)
    for year in (1890, 1969, 2024, 2060)
    for month, day in ((1, 1), (3, 31), (4, 7), (10, 27), (11, 3))
    for hour, minute in ((0, 0), (1, 30), (15, 10), (23, 59))
]


@pytest.mark.parametrize("zone", ZONES)
def test_parts_of_a_time_with_a_zone_are_those_of_its_clocks(zone):
    local = [moment.astimezone(ZoneInfo(zone)) for moment in MOMENTS]
    times = ("timestamptz", MOMENTS)
    for part in ("year", "month", "day", "hour", "minute", "second", "weekday"):
        theirs = [each.weekday() if part == "weekday" else getattr(each, part) for each in local]
        assert answers(f"{part}(a)", zone, a=times)[0] == theirs
    assert answers("cast(a, 'date')", zone, a=times)[0] == [each.date() for each in local]
    assert answers("week(a)", zone, a=times)[0] == [each.isocalendar().week for each in local]
    assert answers("date_trunc('month', a)", zone, a=times)[0] == [
        each.date().replace(day=1) for each in local
    ]
    # whole minutes: an offset of 1890 has seconds
    begun = [each.replace(minute=0, second=0) for each in local]
    theirs = [moment - (each - start) for moment, each, start in zip(MOMENTS, local, begun, strict=True)]
    assert answers("date_trunc('hour', a)", zone, a=times)[0] == theirs


@pytest.mark.parametrize("zone", ZONES)
def test_a_local_time_that_clocks_skip_or_show_twice_is_an_error(zone):
    days = [
        dt.datetime.fromisoformat(f"2024-{day}")
        for day in ("03-10", "03-31", "04-07", "10-06", "10-27", "11-03")
    ]
    local = [day + dt.timedelta(minutes=15 * step) for day in days for step in range(96)]
    found, errors = answers("cast(a, 'timestamptz')", zone, a=("timestamp", local))
    rule = ZoneInfo(zone)
    for row, naive in enumerate(local):
        moments = {naive.replace(tzinfo=rule, fold=fold).astimezone(dt.UTC) for fold in (0, 1)}
        shown = {moment.astimezone(rule).replace(tzinfo=None) for moment in moments} == {naive}
        assert (row in errors) == (len(moments) == 2 or not shown)
        assert found[row] == (None if row in errors else moments.pop())


def test_differences_count_the_beginnings_between_two_times():
    a, b = dt.datetime(2023, 12, 31, 23, 59), dt.datetime(2024, 1, 1, 0, 0, 1)  # noqa: DTZ001
    for unit, count in {
        "year": 1,
        "month": 1,
        "day": 1,
        "week": 1,
        "hour": 1,
        "minute": 1,
        "second": 61,
    }.items():
        assert answers(f"date_diff('{unit}', a, b)", a=("timestamp", [a]), b=("timestamp", [b]))[0] == [count]
        assert answers(f"date_diff('{unit}', b, a)", a=("timestamp", [a]), b=("timestamp", [b]))[0] == [
            -count
        ]


def test_results_have_one_zero_and_one_nan():
    odd_nan = np.array([0x7FF8_0000_0000_0001], np.uint64).view(np.float64)
    values, _ = evaluated("-x", pa.table({"x": pa.array(np.concatenate([[0.0], odd_nan]))}))
    assert np.asarray(values).view(np.uint64).tolist() == [0, np.array([np.nan]).view(np.uint64)[0]]


def test_a_time_that_leaves_the_years_of_iso_8601_is_an_error():
    first, last = (dt.datetime(*day, tzinfo=dt.UTC) for day in ((1, 1, 1), (9999, 12, 31, 23, 59)))
    columns = {"a": ("timestamptz", [first, last])}
    assert answers("cast(a, 'date')", "Asia/Seoul", **columns)[1].keys() == {1}
    assert answers("year(a)", "America/New_York", **columns)[1].keys() == {0}
    _, errors = answers("date_trunc('hour', a)", "Europe/Berlin", **columns)
    assert errors == {0: "column 1: the hour of 0001-01-01T00:00:00+00:00 begins before the year 1"}


def test_times_with_a_zone_are_ordered():
    times = [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in (1, 2)]
    columns = {"a": ("timestamptz", times), "b": ("timestamptz", times[::-1])}
    assert answers("least(a, b)", **columns)[0] == [times[0]] * 2
    assert answers("greatest(a, b)", **columns)[0] == [times[1]] * 2


def test_a_literal_none_is_a_null_of_the_type_that_is_needed():
    for text in (
        "None ** 3",
        "None + a",
        "abs(None)",
        "a // None",
        "least(a, None, None)",
        "nullif(None, a)",
    ):
        assert set(answers(text, a=("int64", [1, None]))[0]) <= {None, 1}, text
    assert answers("concat(a, None)", a=("string", ["x"]))[0] == [None]
    assert answers("year(None) == 1", a=("int64", [1]))[0] == [None]


@pytest.mark.parametrize(
    "literal", ["50", "0", "2.5", "-0.0", "9007199254740992", "9007199254740993", "1e300"]
)
@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">="])
def test_doubles_compare_with_a_literal_by_value(sign, literal):
    values = [*FLOATS, 50.0, 2.0**53, 2.0**53 + 2, None]
    value = Fraction(int(literal) if literal.isdigit() else float(literal))

    def order(number):
        if math.isnan(number) or number == math.inf:
            return 1
        return -1 if number == -math.inf else (Fraction(number) > value) - (Fraction(number) < value)

    names = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
    compare = getattr(operators, names[sign])
    for text, mirrored in ((f"a {sign} {literal}", False), (f"{literal} {sign} a", True)):
        found, errors = answers(text, a=("float64", values))
        assert not errors
        wanted = [
            None if v is None else compare(0, order(v)) if mirrored else compare(order(v), 0) for v in values
        ]
        assert found == wanted
