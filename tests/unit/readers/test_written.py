"""Texts that `types` describes: their values by independent oracles, and the misfits among them."""

import random
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, parse_type
from worker_service.readers.literals import converted, formats, narrowest

MINUS, NBSP = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def read(texts, types, *, zone="Europe/Amsterdam", ambiguous="bad_row", **csv):
    """The values, and the texts that are misfits."""
    kind = parse_type(types if isinstance(types, str) else types["type"])
    spec = SourceSpec.model_validate(
        {
            "uris": ["file:///data/t0"],
            "csv": csv,
            "types": {"x": types},
            "timezone": zone,
            "ambiguous_times": ambiguous,
        }
    )
    found = converted(pa.array(texts, pa.string()), Field("x", kind, declared=True), spec)
    wrong = [] if found.misfits is None else found.misfits.tolist()
    assert len(found.values) == len(texts)
    assert all(found.values[i].as_py() is None for i, misfit in enumerate(wrong) if misfit)
    return found.values.to_pylist(), [text for text, misfit in zip(texts, wrong, strict=False) if misfit]


def money(**options):
    return {"type": "decimal(18,2)", **options}


WRITTEN = [
    (
        money(strip="$ €"),
        {"$5": "5", "5 €": "5", "$ 5.50": "5.5", "-$5": "-5", "$-5": "-5"},
        ["$", "$5$x", "5$5"],
    ),
    (
        money(strip="$", negative=["-5", "(5)", "5-", f"{MINUS}5"]),
        {"(33.52)": "-33.52", "($182.77)": "-182.77", "$(5)": "-5", "12.50-": "-12.5", f"{MINUS}5.00": "-5"},
        ["(-5)", "--5", "-5-", "(5-)", f"-{MINUS}5", "(5", "5)", "()", "-", "+5"],
    ),
    (money(negative=["(5)"]), {"(5)": "-5", "5": "5"}, ["-5", "5-", f"{MINUS}5"]),
    (
        money(decimal=",", thousands="."),
        {"1.234,56": "1234.56", "-9,13": "-9.13", "12": "12", "1.234.567": "1234567", ",5": "0.5"},
        ["1.23", "1,234.5", "1.2345", "1..234", ".123", "1.234.56", "1,2,3", "0.123"],
    ),
    (
        money(thousands=","),
        {"1,234.50": "1234.5", "2.25": "2.25", "-12,345,678": "-12345678", "12,34,567": "1234567"},
        ["1,23", "1,234.5,6", "12,,345", ",123", "1234,567", "1,2345", "1,2.3"],
    ),
    (money(thousands=NBSP, decimal=","), {f"1{NBSP}234,5": "1234.5"}, ["1 234,5", "1234.5"]),
    (money(thousands="'"), {"1'234.5": "1234.5"}, ["1'2", "1,234"]),
    (
        {"type": "int64", "lenient": True},
        {"007": 7, "+7": 7, "-007": -7, "7.0": 7, "7.": 7, "1e3": 1000, "00": 0, "+0": 0},
        ["7.5", "+-7", "-+7", "+", "1e40", "0x1F", " 7", "7,0", "9223372036854775808"],
    ),
    (money(lenient=True), {"1e3": "1000", "1.5E1": "15", "+.5": "0.5"}, ["1e-3", "1e", "nan"]),
    ({"type": "float64", "lenient": True}, {"007.50": 7.5, "+1e3": 1000.0}, ["++1", "1_0"]),
    (
        {"type": "float64", "percent": True, "negative": ["-5", "(5)", "5-"]},
        {"5%": 0.05, "12.5 %": 0.125, f"1{NBSP}%": 0.01, "(5%)": -0.05, "5%-": -0.05},
        ["5", "%", "5%%", "nan%", "1e2%", "5 5%"],
    ),
    ({"type": "decimal(6,3)", "percent": True}, {"12.5%": "0.125", "-100%": "-1"}, ["12.55%", "12.5"]),
    (
        {"type": "bool", "true": ["yes", "Y", "1"], "false": ["no", "0"]},
        {"YES": True, "y": True, "1": True, "No": False, "0": False},
        ["true", "false", "maybe", " yes"],
    ),
    ({"type": "bool", "true": ["x"]}, {"X": True, "false": False}, ["true", ""]),
    (
        {"type": "int64", "trim": True, "null_values": ["N/A"]},
        {" 7": 7, "7\t": 7, "N/A": None, " N/A ": None, "  ": None},
        ["n/a", "7 7"],
    ),
    ({"type": "int64", "strip": "kg "}, {"12 kg": 12, "5": 5}, ["12 lb"]),
    ({"type": "string", "trim": True, "strip": "*"}, {" *a b* ": "a b", "": ""}, []),
    ("date", {"2024-05-01 00:00:00": date(2024, 5, 1)}, ["2024-05-01 00:00:01", "2024-05-01 00"]),
]  # fmt: skip


@pytest.mark.parametrize(("types", "values", "misfits"), WRITTEN)
def test_a_described_text_has_its_value_and_others_are_misfits(types, values, misfits):
    texts = [*values, None, *misfits]
    right = [
        Decimal(value) if isinstance(value, str) and "decimal" in str(types) else value
        for value in values.values()
    ]
    assert read(texts, types) == ([*right, *[None] * (1 + len(misfits))], misfits)


def test_the_defaults_of_the_file_hold_for_columns_that_say_nothing_else():
    assert read([" 1.234,5 "], "float64", trim=True, decimal=",", thousands=".") == ([1234.5], [])
    assert read(["1.5"], {"type": "float64", "decimal": "."}, decimal=",") == ([1.5], [])
    assert read([" a ", "  ", ""], "string", trim=True) == (["a", None, ""], [])


def test_of_several_patterns_the_first_that_fits_counts():
    patterns = ["%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d", "%b %d, %Y"]
    texts = [
        "03/05/2011",
        "12/31/2011",
        "2024-02-29",
        "mar 5, 2024",
        None,
        "2023-02-29",
        "31/02/2011",
        "3/5/11",
    ]
    values, misfits = read(texts, {"type": "date", "format": patterns})
    assert values[:4] == [date(2011, 5, 3), date(2011, 12, 31), date(2024, 2, 29), date(2024, 3, 5)]
    assert misfits == texts[5:]


PATTERNS = [
    "%Y-%m-%d %H:%M:%S.%f", "%d/%m/%y %I:%M %p", "%Y%j", "%A, %d %B %Y", "%a %b %d %H:%M:%S %Y",
    "%Y.%m.%dT%H", "%m-%d-%Y%%", "(%d) %b %Y",
]  # fmt: skip


@settings(max_examples=30)
@given(
    st.sampled_from(PATTERNS),
    st.lists(st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31)), min_size=1, max_size=5),  # noqa: DTZ001
)
def test_patterns_are_read_as_strptime_reads_them(pattern, moments):
    texts = [moment.strftime(pattern) for moment in moments]
    right = [datetime.strptime(text, pattern) for text in texts]  # noqa: DTZ007
    assert read(texts, {"type": "timestamp", "format": pattern}) == (right, [])


@settings(max_examples=30)
@given(st.lists(st.text("0123456789/ :-", max_size=12), min_size=1, max_size=6))
def test_a_text_fits_a_pattern_exactly_if_it_fits_for_strptime(texts):
    right = []
    for text in texts:
        try:
            right.append(datetime.strptime(text, "%d/%m/%Y").date())  # noqa: DTZ007
        except ValueError:
            right.append(None)
    right = [None if day and day.year < 1 else day for day in right]
    assert read(texts, {"type": "date", "format": "%d/%m/%Y"})[0] == right


def filled(pattern, digits):
    """The pattern with the usual number of digits for each directive."""
    left, widths = iter(digits), {"Y": 4, "j": 3, "f": 6}
    return re.sub("%(.)", lambda found: "".join(islice(left, widths.get(found[1], 2))), pattern)


@settings(max_examples=30)
@given(
    st.sampled_from(["%d/%m/%Y", "%Y%m%d %H:%M", "%y%j", "%H.%M.%S.%f %d-%m-%Y"]),
    st.lists(st.text("0123459", min_size=20, max_size=20), min_size=1, max_size=9),
)
def test_a_text_of_usual_width_has_the_same_value_by_its_bytes_and_by_the_expression(pattern, digits):
    texts = [filled(pattern, some) for some in digits]
    fast, slow = formats._by_bytes(pa.array(texts), pattern), formats._by_words(pa.array(texts), pattern)
    assert fast.local[fast.fit].tolist() == slow.local[fast.fit].tolist()
    assert slow.fit[fast.fit].all()
    for text in np.array(texts)[slow.fit & ~fast.fit]:  # a part that has one digit only
        assert datetime.strptime(text, pattern)  # noqa: DTZ007


def test_a_date_whose_text_has_a_time_fits_at_midnight_only():
    assert read(["01/02/2024 00:00", "01/02/2024 10:00"], {"type": "date", "format": "%d/%m/%Y %H:%M"}) == (
        [date(2024, 2, 1), None],
        ["01/02/2024 10:00"],
    )


def test_a_time_with_an_offset_is_its_moment_and_one_without_is_in_the_sources_zone():
    types = {"type": "timestamptz", "format": ["%d/%m/%Y %H:%M%z", "%d/%m/%Y %H:%M"]}
    texts = [
        "01/07/2024 12:00+0530",
        "01/07/2024 12:00Z",
        "01/07/2024 12:00",
        "26/10/2025 02:30",
        "30/03/2025 02:30",
    ]
    noon = datetime(2024, 7, 1, 12, tzinfo=UTC)
    values, misfits = read(texts, types)
    assert values == [noon - timedelta(hours=5.5), noon, noon - timedelta(hours=2), None, None]
    assert misfits == texts[3:]
    later = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Amsterdam"), fold=1).astimezone(UTC)
    assert read(texts[3:], types, ambiguous="latest") == ([later, None], texts[4:])


@settings(max_examples=30)
@given(st.lists(st.decimals(-(10**6), 10**6, places=4), min_size=1))
def test_percent_of_float64_is_the_double_nearest_to_the_exact_quotient(numbers):
    texts = [f"{number}%" for number in numbers]
    right = [float(Fraction(number) / 100) for number in numbers]
    assert read(texts, {"type": "float64", "percent": True}) == (right, [])


@settings(max_examples=30)
@given(st.lists(st.integers(-(10**15), 10**15), min_size=1), st.sampled_from([",", ".", " ", "'"]))
def test_groups_of_thousands_are_those_that_python_writes(numbers, mark):
    texts = [f"{number:,}".replace(",", mark) for number in numbers]
    decimal = "," if mark == "." else "."
    right = [float(number) for number in numbers]
    assert read(texts, {"type": "float64", "thousands": mark, "decimal": decimal}) == (right, [])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int64", "12", ["x", "007", "1.5", "9223372036854775808"]),
        ("float64", "1.5", ["NA", "1e400", "07"]),
        ("decimal(6,2)", "1.5", ["1.505", "12345.6"]),
        ("date", "2024-02-29", ["2023-02-29", "0000-01-01"]),
        ("timestamp", "2024-02-29 12:00", ["2024-02-29 25:00", "2024-02-29 12"]),
        ("timestamptz", "2024-02-29 12:00Z", ["2025-10-26 02:30", "2025-03-30 02:30", "9999-12-31 23:59-05"]),
    ],
)
def test_misfits_are_found_wherever_they_are_and_the_rest_is_converted(kind, good, bad):
    rng = random.Random(kind)
    texts = [rng.choice([good, good, good, None, *bad]) for _ in range(200)]
    values, misfits = read(texts, kind)
    assert misfits == [text for text in texts if text in bad]
    assert [value is not None for value in values] == [text == good for text in texts]


KEYS = [
    ("int64", ["0", "-7", "12"], ["-0", "+7", "007", "7.0"]),
    ("bool", ["true", "false"], ["True", "FALSE"]),
    ("date", ["2024-02-29"], ["2024-02-29 00:00"]),
    (
        "timestamp",
        ["2024-02-29T12:00:00", "2024-02-29T12:00:00.5"],
        ["2024-02-29 12:00:00", "2024-02-29", "2024-02-29T12:00", "2024-02-29T12:00:00.50"],
    ),
    (
        "timestamptz",
        ["2024-02-29T12:00:00+00:00"],
        ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00+01:00"],
    ),
]


@pytest.mark.parametrize(("kind", "kept", "others"), KEYS)
def test_an_undeclared_key_is_a_literal_only_as_a_result_would_show_it(kind, kept, others):
    spec = SourceSpec(uris=("file:///data/t0",), csv=CsvOptions(), types={})
    key = Field("x", parse_type(kind), key=True)
    found = converted(pa.array([*kept, None, *others]), key, spec)
    assert found.misfits.tolist() == [False] * (len(kept) + 1) + [True] * len(others)
    assert converted(pa.array(kept), key, spec).misfits is None


def test_a_column_of_spaces_has_no_type_where_values_are_trimmed():
    spec = SourceSpec(uris=("file:///data/t0",), csv=CsvOptions(trim=True), types={})
    assert narrowest(pa.array(["  ", None]), ["bool", "string"], spec) == "null"
    assert narrowest(pa.array(["  ", " true"]), ["bool", "string"], spec) == "bool"
