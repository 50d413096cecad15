"""Filters as HTTP has them, the types of values, and pages."""

from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, nan

import pytest

from api_service.wire import row_queries
from gristmill.client import rows
from gristmill.client.rows import pages, row_query, typed
from tests.support.steps import answer, played


@pytest.mark.parametrize(
    ("filters", "query"),
    [
        ({"country": "KR"}, [("country", "KR")]),
        ({"revenue__gte": 10}, [("revenue__gte", "10")]),
        ({"revenue__lt": Decimal("1.50")}, [("revenue__lt", "1.50")]),
        ({"ok": True, "x__ne": False}, [("ok", "true"), ("x__ne", "false")]),
        ({"day": date(2024, 1, 2)}, [("day", "2024-01-02")]),
        ({"at": datetime(2024, 1, 2, 3, tzinfo=UTC)}, [("at", "2024-01-02T03:00:00+00:00")]),
        ({"country": None}, [("country__isnull", "true")]),
        ({"country": ["KR", "JP"]}, [("country__in", "KR"), ("country__in", "JP")]),
        ({"country__in": ["KR"]}, [("country__in", "KR")]),
        ({"x": nan, "y__lte": inf}, [("x", "nan"), ("y__lte", "inf")]),
        ({"limit": 5, "format": None}, [("limit__exact", "5"), ("format__isnull", "true")]),
        ({"after": [1]}, [("after__in", "1")]),
    ],
)
def test_a_filter_is_written_as_the_service_reads_it(filters, query):
    assert row_query(filters, {}) == query


def test_each_column_of_an_order_and_a_selection_is_a_parameter_of_its_own():
    """A name that holds a comma is one column only if it stands alone."""
    words = {"order_by": ["-revenue", "a,b"], "select": "a,b"}

    assert row_query(None, words) == [("order_by", "-revenue"), ("order_by", "a,b"), ("select", "a,b")]


def test_the_names_that_are_no_filters_are_those_of_the_service():
    assert {*row_queries.RESERVED} == rows.PARAMETERS


def test_values_have_the_types_of_their_columns():
    columns = [
        {"name": name, "type": kind}
        for name, kind in {
            "n": "int64", "x": "float64", "d": "decimal(38,2)", "day": "date", "at": "timestamp",
            "tz": "timestamptz", "s": "string", "ok": "bool", "ds": "decimal(9,1)[]", "ns": "int64[]",
        }.items()
    ]  # fmt: skip
    at = "2024-01-02T03:04:05.000006"
    row = {
        "n": 2**63 - 1, "x": 1, "d": "99999999999999999999.10", "day": "2024-01-02", "at": at,
        "tz": "2024-01-02T03:04:05Z", "s": "1", "ok": True, "ds": ["1.5", None], "ns": [1],
    }  # fmt: skip

    [found] = typed([dict(row)], columns)

    assert found == row | {
        "d": Decimal("99999999999999999999.10"), "day": date(2024, 1, 2),
        "at": datetime.fromisoformat(at), "tz": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        "ds": [Decimal("1.5"), None],
    }  # fmt: skip
    assert type(found["x"]) is float
    assert typed([dict.fromkeys(row)], columns) == [dict.fromkeys(row)]


def page(names: list, following: str | None):
    columns = [{"name": "n", "type": "int64"}]
    return answer(items=[{"n": name} for name in names], next=following, version=1, columns=columns)


def test_pages_are_read_as_they_are_asked_for():
    read = played(pages("/rows", [("n__gt", "0")], None), page([1, 2], "c1"), page([3], None))

    assert [row["n"] for row in read.emitted] == [1, 2, 3]
    assert [step.request.query for step in read.steps] == [
        [("n__gt", "0"), ("limit", "1000")],
        [("n__gt", "0"), ("after", "c1"), ("limit", "10000")],
    ]


def test_a_limit_ends_the_pages():
    read = played(pages("/rows", [], 3), page([1, 2], "c1"), page([3], "c2"))

    assert [dict(step.request.query)["limit"] for step in read.steps] == ["3", "1"]
    assert played(pages("/rows", [], 0)).emitted == []


def test_nan_and_infinities_that_json_has_as_nulls_are_read_from_csv():
    columns = [
        {"name": "k", "type": "string"},
        {"name": "x", "type": "float64"},
        {"name": "top", "type": "float64[]"},
    ]
    items = [{"k": "a", "x": None, "top": [None, 1.5]}, {"k": "b", "x": None, "top": None}]
    lines = b'x,top\r\nNaN,"[""NaN"",1.5]"\r\n,\r\n'
    read = played(
        pages("/rows", [("select", "k"), ("select", "x"), ("select", "top"), ("k__in", "a")], None),
        answer(items=items, next=None, columns=columns),
        answer(content=lines),
    )

    first, second = read.emitted
    assert (str(first["x"]), str(first["top"])) == ("nan", "[nan, 1.5]")
    assert second == {"k": "b", "x": None, "top": None}
    assert read.steps[1].request.query == [
        ("k__in", "a"), ("select", "x"), ("select", "top"), ("format", "csv"), ("limit", "2"),
    ]  # fmt: skip
