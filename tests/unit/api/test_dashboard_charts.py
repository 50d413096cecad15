"""The chart that the types of a result choose, and the bars and lines of its rows."""

import math
import tracemalloc
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_service.dashboard import charts
from shared.core.entities import Version
from shared.core.row_query import Rows, Term
from shared.errors import InvalidParameter

WITH_TIME = {"country": "string", "month": "date", "n": "int64", "top": "int64[]", "revenue": "decimal(38,2)"}


def version(columns: dict[str, str], keys: int, rows: int = 10) -> Version:
    return Version(
        job_id="job_x",
        tenant="default",
        name="x",
        version=1,
        relation="job_x",
        rows=rows,
        digest="sha256:0",
        columns=[{"name": name, "type": kind} for name, kind in columns.items()],
        key_columns=keys,
        published_at=datetime(2024, 1, 1, tzinfo=UTC),
        expires_at=None,
        current=True,
    )


@pytest.mark.parametrize(
    ("columns", "keys", "asked", "expected"),
    [
        (WITH_TIME, 2, None, ("lines", "month", ("country",), "n")),
        (WITH_TIME, 2, "revenue", ("lines", "month", ("country",), "revenue")),
        ({"a": "int64", "b": "bool", "n": "float64"}, 2, None, ("bars", "a", ("b",), "n")),
        ({"at": "timestamptz", "n": "int64"}, 1, None, ("lines", "at", (), "n")),
    ],
)
def test_a_key_of_time_makes_lines_and_others_make_bars(columns, keys, asked, expected):
    assert charts.chosen(version(columns, keys), asked) == charts.Choice(*expected)


@pytest.mark.parametrize(
    ("columns", "keys"),
    [({"n": "int64"}, 0), ({"k": "string"}, 1), ({"k": "int64", "first": "string", "t": "int64[]"}, 1)],
    ids=["no key", "only a key", "no number"],
)
def test_without_a_key_or_a_number_there_is_no_chart(columns, keys):
    assert charts.chosen(version(columns, keys), None) is None
    with pytest.raises(InvalidParameter, match="there are none"):
        charts.chosen(version(columns, keys), "n")


def test_a_column_that_is_no_number_is_refused_with_those_that_are():
    with pytest.raises(
        InvalidParameter, match="'top' is no column of numbers after the keys; those are n, revenue"
    ):
        charts.chosen(version(WITH_TIME, 2), "top")


def test_a_large_result_is_drawn_on_request_only():
    large = version(WITH_TIME, 2, rows=charts.MOST_ROWS + 1)
    assert charts.chosen(large, None) is None
    assert charts.chosen(large, "n") is not None
    assert charts.chosen(replace(large, rows=charts.MOST_ROWS), None) is not None


def test_bars_ask_for_the_largest_and_lines_for_the_latest():
    assert charts.Choice("bars", "k", (), "n").query(()).order[0] == Term("n", descending=True)
    assert charts.Choice("lines", "at", ("k",), "n").query(()).order[0] == Term("at", descending=True)


NUMBERS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
)


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_bars_lie_within_their_axis_and_are_as_long_as_their_values(values):
    drawn = charts.bars(Rows([("k", value) for value in values], None)).bars
    finite = {n: Fraction(v) for n, v in enumerate(values) if v is not None and abs(v) < float("inf")}
    low, high = min([0, *finite.values()]), max([0, *finite.values()])
    for no, bar in enumerate(drawn):
        assert -0.01 <= bar.start <= bar.start + bar.width <= 100.02
        if no in finite and high > low and high - low < 10**300:
            assert bar.width == pytest.approx(float(100 * abs(finite[no]) / (high - low)), abs=0.02)
        elif no not in finite:
            assert bar.width == 0


@pytest.mark.parametrize(
    ("value", "written"),
    [(4033464.71, "4,033,465"), (0.125, "0.125"), (999.5, "999.5"), (10**18, "1e+18"), (None, "0")],
)
def test_the_ends_of_an_axis_are_rounded(value, written):
    assert charts.bars(Rows([("k", value)], None)).high == written


def test_lines_are_the_largest_and_others_are_counted():
    rows = [(date(2024, 1, 1), f"k{no}", no) for no in range(11)]
    drawn = charts.lines(Rows(rows, None), "n")
    assert [line.name for line in drawn.lines] == [f"k{no}" for no in range(10, 2, -1)]
    assert drawn.left_out == 3


def test_lines_of_other_keys_are_apart_though_their_names_are_alike():
    keys = [("a, b", "c"), ("a", "b, c"), ("null", "c"), (None, "c"), (math.nan, ""), (float("nan"), "")]
    values = [(date(2024, 1, 1), *pair, no) for no, pair in enumerate(keys, 1)]
    drawn = charts.lines(Rows(values=values, last=None), "n")
    assert [(line.name, line.values) for line in drawn.lines] == [
        ("NaN, ", [6]), ("null, c", [4]), ("null, c", [3]), ("a, b, c", [2]), ("a, b, c", [1])
    ]  # fmt: skip
    assert drawn.left_out == 0


def test_many_lines_at_many_times_take_no_list_for_each_line():
    values = [(date(2024, 1, 1) + timedelta(no), str(no), 1.0) for no in range(charts.MOST_POINTS)]
    tracemalloc.start()
    try:
        drawn = charts.lines(Rows(values=values, last=None), "n")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert drawn.left_out == charts.MOST_POINTS - charts.MOST_LINES
    assert most < 20_000_000


def test_lines_have_gaps_where_a_value_is_null_not_finite_or_missing():
    first, second, third = (datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3))
    rows = [(third, "a", 3.0), (third, "b", float("nan")), (second, "a", None), (first, "a", Decimal("1.25"))]
    drawn = charts.lines(Rows([*rows, (None, "a", 9)], None), "n")
    assert drawn.times == [moment.timestamp() for moment in (first, second, third)]
    assert [(line.name, line.values) for line in drawn.lines] == [
        ("a", [1.25, None, 3.0]),
        ("b", [None, None, None]),
    ]
    assert drawn.timeless == 1


def test_a_time_without_a_zone_is_drawn_as_utc_and_a_lone_line_has_the_name_of_its_values():
    drawn = charts.lines(Rows([(datetime(1900, 1, 1, 6), 1)], None), "n")  # noqa: DTZ001
    assert drawn.times == [datetime(1900, 1, 1, 6, tzinfo=UTC).timestamp()]
    assert [line.name for line in drawn.lines] == ["n"]


def test_the_earliest_of_the_latest_times_is_left_out_since_it_may_lack_rows():
    rows = [(date(2024, 1, day), key, 1) for day in (3, 2) for key in "ab"]
    drawn = charts.lines(Rows([*rows, (date(2024, 1, 1), "b", 1)], last=5), "n")
    assert drawn.times == [datetime(2024, 1, day, tzinfo=UTC).timestamp() for day in (2, 3)]
    assert drawn.more
    one_time = charts.lines(Rows(rows[:2], last=2), "n")
    assert len(one_time.times) == 1
