"""The chart that the types of the keys ask for, and its lines and bars in matplotlib."""

from datetime import date
from decimal import Decimal

import matplotlib as mpl
import pytest

from gristmill.client.chart import Chart, chosen, drawn, series

COLUMNS = {"country": "string", "month": "date", "revenue": "decimal(38,2)", "top": "int64[]", "n": "int64"}
ROWS = [
    {"country": country, "month": date(2024, month, 1), "revenue": Decimal(month) / 2, "n": month}
    for month in (2, 1, 3)
    for country in ("KR", "JP")
]


@pytest.fixture(autouse=True)
def no_screen():
    mpl.use("agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_a_time_among_the_keys_makes_lines_one_for_each_other_key():
    assert chosen(COLUMNS, 2, None) == Chart("line", "month", "revenue", ("country",))
    axes = drawn(ROWS, COLUMNS, 2, "n")

    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {
        "JP": [1, 2, 3],
        "KR": [1, 2, 3],
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("month", "n")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["JP", "KR"]


def test_other_keys_make_bars():
    columns = {"country": "string", "n": "int64"}
    axes = drawn(
        [{"country": "KR", "n": 3}, {"country": "JP", "n": None}, {"country": "FR", "n": 1}], columns, 1, None
    )

    assert [bar.get_height() for bar in axes.patches] == [3, 1]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["FR", "KR"]


def test_bars_of_ordered_rows_stand_in_their_order():
    columns = {"country": "string", "year": "int64", "n": "int64"}
    rows = [
        {"country": "KR", "year": 1, "n": 9},
        {"country": "FR", "year": 2, "n": 5},
        {"country": "FR", "year": 1, "n": 4},
        {"country": "KR", "year": 2, "n": 3},
    ]
    axes = drawn(rows, columns, 2, None, ordered=True)

    assert [text.get_text() for text in axes.get_xticklabels()] == ["KR", "FR"]
    bars = sorted((bar.get_x(), bar.get_height()) for bar in axes.patches)
    assert [height for _, height in bars] == [9, 3, 4, 5]


def test_nulls_are_left_out():
    rows = [{"k": None, "n": 1}, {"k": "a", "n": None}, {"k": "b", "n": 2}]
    assert series(rows, Chart("bar", "k", "n", ())) == {"n": {"b": 2.0}}


@pytest.mark.parametrize(
    ("columns", "keys", "y", "message"),
    [
        ({"n": "int64"}, 0, None, "there is one row: a chart needs a key"),
        ({"k": "string", "t": "string"}, 1, None, "no column of numbers to draw: t"),
        (COLUMNS, 2, "top", "y='top' is no column of numbers; those are revenue, n"),
    ],
)
def test_a_chart_that_cannot_be_is_refused(columns, keys, y, message):
    with pytest.raises(ValueError, match=message):
        chosen(columns, keys, y)


def test_too_many_bars_are_refused():
    rows = [{"k": f"{n}", "n": n} for n in range(101)]
    with pytest.raises(ValueError, match="101 bars: take fewer rows"):
        drawn(rows, {"k": "string", "n": "int64"}, 1, None)
