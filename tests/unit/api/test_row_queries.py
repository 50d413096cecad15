"""Literals, cursors and the query language of rows, without a database."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from api_service.wire.filter_values import parse_filter_value
from api_service.wire.pages import Cursor, decode_cursor, encode_cursor, fingerprint
from api_service.wire.row_queries import RowColumns, parse_row_query
from shared.core.entities import Version
from shared.core.row_query import Filter, RowQuery, Term
from shared.db.result_tables import create_table
from shared.db.row_pages import page_statement
from shared.errors import InvalidCursor, InvalidParameter
from shared.spec.types import parse_result_type

COLUMNS = RowColumns(
    {"_id": "int64", "a": "int64", "b": "string", "a,b": "string", "a__gt": "int64", "-a": "int64"}
)


JOB_IDS = st.from_regex(r"job_[0-9a-z]{26}", fullmatch=True)


@given(st.builds(Cursor, JOB_IDS, st.text(), st.integers(-(2**63), 2**63 - 1)))
def test_a_cursor_is_read_back_as_it_was_written(cursor):
    text = encode_cursor(cursor)

    assert decode_cursor(text, Cursor) == cursor
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=30))
def test_any_other_text_is_refused_as_a_cursor(text):
    try:
        cursor = decode_cursor(text, Cursor)
    except InvalidCursor:
        return
    assert encode_cursor(cursor)


@pytest.mark.parametrize("job_id", ["job_" + "0" * 25 + "\0", "job_" + "0" * 26 + "\n", "job_x", "\0", ""])
def test_a_cursor_names_a_job_and_nothing_that_postgres_would_choke_on(job_id):
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(Cursor(job_id, "0", 1)), Cursor)


def test_the_fingerprint_differs_by_filter_value_operator_and_order():
    queries = [
        ([], [Term("a")]),
        ([], [Term("a", descending=True)]),
        ([Filter("a", "gt", 1)], [Term("a")]),
        ([Filter("a", "gt", 2)], [Term("a")]),
        ([Filter("a", "gte", 1)], [Term("a")]),
        ([Filter("b", "gt", 1)], [Term("a")]),
    ]

    assert len({fingerprint(filters, order) for filters, order in queries}) == len(queries)


def parsed(*pairs):
    return parse_row_query(MultiDict(pairs), COLUMNS, "json", None)


def test_a_column_beats_an_operator_and_odd_names_can_be_ordered_by():
    query = parsed(
        ("a__gt", "1"), ("a__gt__lt", "2"), ("order_by", "a,b"), ("order_by", "-a"), ("order_by", "b,a")
    )

    assert query.filters == (Filter("a__gt", "exact", 1), Filter("a__gt", "lt", 2))
    assert query.order == (Term("a,b"), Term("-a"), Term("b"), Term("a"), Term("_id"))
    assert parsed(("order_by", "--a")).order == (Term("-a", descending=True), Term("_id"))


def test_the_order_always_ends_with_the_row_id_and_names_it_once():
    assert parsed().order == (Term("_id"),)
    assert parsed(("order_by", "-_id")).order == (Term("_id", descending=True),)
    assert parsed(("order_by", "b")).order == (Term("b"), Term("_id"))


def test_a_repeated_filter_must_hold_twice_and_a_repeated_in_is_one_list():
    query = parsed(("a__ne", "1"), ("a__ne", "2"), ("b__in", "x"), ("b__in", "y"))

    assert query.filters == (Filter("a", "ne", 1), Filter("a", "ne", 2), Filter("b", "in", ["x", "y"]))


def test_pages_are_limited_and_streams_are_not():
    assert parsed().limit == 100
    assert parse_row_query(MultiDict(), COLUMNS, "csv", None).limit is None
    assert parse_row_query(MultiDict(limit="123456"), COLUMNS, "csv", None).limit == 123456
    with pytest.raises(InvalidParameter):
        parsed(("limit", "10001"))


@pytest.mark.parametrize(
    "parameters",
    [{"best": "1"}, {"best__gt": "1"}, {"best__in": "{1}"}, {"best__startswith": "1"}, {"order_by": "-best"}],
)
def test_an_array_can_only_be_asked_whether_it_is_null(parameters):
    columns = RowColumns({"_id": "int64", "best": "int64[]"})

    with pytest.raises(InvalidParameter, match=r"array|texts"):
        parse_row_query(MultiDict(parameters), columns, "json", None)
    asked = parse_row_query(MultiDict({"best__isnull": "false", "select": "best"}), columns, "json", None)
    assert (asked.filters, asked.columns) == ((Filter("best", "isnull", value=False),), ("best",))


def test_an_array_is_a_column_of_its_element_type():
    columns = [
        {"name": "k", "type": "int64"},
        {"name": "best", "type": "decimal(18,2)[]"},
        {"name": "names", "type": "string[]"},
    ]
    ddl = create_table("job_1", columns)

    assert "best NUMERIC(18, 2)[]" in ddl
    assert 'names TEXT[] COLLATE "C"' in ddl
    assert str(parse_result_type("decimal(18,2)[]")) == "decimal(18,2)[]"


def test_an_unknown_parameter_is_told_what_works_and_nothing_else():
    with pytest.raises(InvalidParameter) as caught:
        parse_row_query(MultiDict([("totl", "1")]), COLUMNS, "json", None)

    assert "order_by, select, limit, after, version, format" in caught.value.detail
    assert not re.search("numbers", caught.value.detail)


def test_filters_and_terms_of_the_order_are_bounded_and_values_of_in_are_not():
    many = RowColumns({"_id": "int64"} | {f"c{i}": "int64" for i in range(33)})
    columns = list(many.shown)

    assert len(parse_row_query(MultiDict(order_by=",".join(columns[:32])), many, "json", None).order) == 33
    assert len(parse_row_query(MultiDict([("c0__ne", "1")] * 100), many, "json", None).filters) == 100
    assert len(parse_row_query(MultiDict([("c0__in", "1")] * 1000), many, "json", None).filters) == 1
    with pytest.raises(InvalidParameter, match="at most 32 columns, not 33"):
        parse_row_query(MultiDict(order_by=",".join(columns)), many, "json", None)
    with pytest.raises(InvalidParameter, match="There are 101 filters"):
        parse_row_query(MultiDict([("c0__ne", "1")] * 101), many, "json", None)


def test_the_next_page_asks_in_proportion_to_the_order():
    columns = [{"name": f"c{i}", "type": "float64"} for i in range(33)]
    version = Version(
        job_id="job_1", tenant="default", name=None, version=None, relation="job_1", rows=1, digest="",
        columns=columns, key_columns=1, published_at=datetime.now(UTC), expires_at=None, current=True,
    )  # fmt: skip

    def selects(terms: int) -> int:
        order = (*(Term(f"c{i}", descending=i % 2 == 0) for i in range(terms)), Term("_id"))
        return page_statement(version, RowQuery(columns=("c0",), order=order, after=5, limit=10))[0].count(
            "SELECT"
        )

    assert selects(32) - selects(16) == 2 * (selects(16) - selects(8)) == 4 * (selects(8) - selects(4))


@pytest.mark.parametrize(
    "kind", ["bool", "int64", "float64", "decimal(38,2)", "date", "timestamp", "timestamptz"]
)
def test_a_value_that_is_no_text_has_a_bounded_length(kind):
    assert parse_filter_value("0" * 399 + "1", "float64") == 1.0
    with pytest.raises(ValueError, match="longer than 400 characters") as caught:
        parse_filter_value("1" * 8000, kind)
    assert len(str(caught.value)) < 600


def test_of_many_columns_an_error_lists_some():
    many = RowColumns({f"column_{i}": "int64" for i in range(1600)})
    for query in ([("zzz", "1")], [("select", "zzz")]):
        with pytest.raises(InvalidParameter, match="and 1500 more") as caught:
            parse_row_query(MultiDict(query), many, "json", None)
        assert len(caught.value.detail) < 3000
