"""Expressions, conditions and time buckets, bound to the columns of a dataset and of a result."""

import json

import pytest

from shared.errors import InvalidSpec, TypeMismatch, UnknownColumn
from shared.spec.bind import bind, needed_kinds
from shared.spec.models import JobSpec
from shared.spec.types import DataType, Field, Schema, parse_type
from shared.spec.uses import uses

SCHEMA = Schema(
    (
        Field("\0price", DataType("string"), key=True),
        Field("price", DataType("float64")),
        Field("fee", parse_type("decimal(9,2)"), declared=True),
        Field("n", DataType("int64")),
        Field("status", DataType("string")),
        Field("day", DataType("date")),
        Field("local", DataType("timestamp")),
        Field("at", DataType("timestamptz")),
    )
)


def spec_of(body, **changes) -> JobSpec:
    return JobSpec.model_validate_json(
        json.dumps(body(**{"group_by": [], "aggregates": [{"fn": "count"}], **changes}))
    )


def mistakes(body, error=TypeMismatch, misfits=None, **changes):
    with pytest.raises(error) as caught:
        bind(spec_of(body, **changes), SCHEMA, misfits or {})
    return {each["pointer"]: each["detail"] for each in caught.value.errors}


def bucket(width, column, **others):
    return {"time_bucket": width, "column": column, **others}


def test_a_query_reads_what_its_expressions_name_and_makes_the_rest(body):
    query = bind(
        spec_of(
            body,
            derive=[{"as": "net", "expr": "price - 1e0"}, {"as": "big", "expr": "net > n"}],
            where="big and status == 'paid'",
            group_by=["price", "big", bucket("1mo", "at", **{"as": "month"})],
            aggregates=[
                {"fn": "sum", "column": "net"},
                {"fn": "count", "where": "fee > 1"},
                {"fn": "max", "column": "fee", "where": "fee > 1"},
            ],
        ),
        SCHEMA,
    )
    assert query.columns == ["\0price", "fee", "price", "n", "status", "at"]
    assert {name: str(of) for name, of in query.result.items()} == {
        "price": "string",
        "big": "bool",
        "month": "date",
        "sum_net": "float64",
        "count": "int64",
        "max_fee": "decimal(9,2)",
    }
    condition = query.made[-1].name
    assert [a.where for a in query.aggregates] == [None, condition, condition]
    assert query.aggregates[1].columns == (condition,)
    assert [made.name for made in query.derived] == ["net", "big"]
    assert len(query.made) == 2


def test_the_columns_in_use_are_those_of_the_dataset_and_of_no_derive(body):
    spec = spec_of(
        body,
        derive=[{"as": "net", "expr": "price - fee"}],
        where="net > n",
        group_by=["net", "status", bucket("1d", "at")],
        aggregates=[{"fn": "max", "column": "net", "where": "day > '2024-01-01'"}],
    )
    assert uses(spec).keys == ("status",)
    assert uses(spec).values == ("price", "fee", "n", "day", "at")
    uses(spec).check(["price", "fee", "n", "day", "at", "status"])
    with pytest.raises(UnknownColumn) as unknown:
        uses(spec).check(["price", "fee", "n", "at", "status"])
    assert unknown.value.errors[0]["pointer"] == "#/aggregates/0/where"
    assert unknown.value.errors[0]["detail"].startswith('column 1: there is no column "day"')
    with pytest.raises(InvalidSpec) as taken:
        uses(spec).check(["price", "fee", "n", "day", "at", "status", "net"])
    assert taken.value.errors == [
        {"pointer": "#/derive/0/as", "detail": 'the data has a column "net" already; choose another name'}
    ]


def test_every_wrong_type_is_named_and_what_follows_from_it_is_not(body):
    found = mistakes(
        body,
        derive=[{"as": "net", "expr": "status * 2"}, {"as": "more", "expr": "net + 1"}],
        where="n",
        group_by=[
            bucket("1h", "day"),
            bucket("1h", "local", tz="Asia/Seoul", **{"as": "l"}),
            bucket("1h", "more", **{"as": "m"}),
        ],
        aggregates=[{"fn": "sum", "column": "net"}, {"fn": "sum", "column": "status", "where": "price"}],
    )
    assert set(found) == {
        "#/derive/0/expr",
        "#/where",
        "#/group_by/0/time_bucket",
        "#/group_by/1/tz",
        "#/aggregates/1/column",
        "#/aggregates/1/where",
    }
    assert found["#/where"].startswith("a condition is needed, and this is int64")
    assert (
        found["#/group_by/0/time_bucket"]
        == '"day" is a date, which has no time of day; use 1d, 1w, 1mo, 1q, 1y, or write '
        '{"day": "timestamp"} into source.types, if its values have a time of day'
    )
    assert list(mistakes(body, group_by=[bucket("1h", "n")])) == ["#/group_by/0/column"]
    assert list(mistakes(body, having="count")) == ["#/having"]


def test_a_date_that_the_spec_made_or_declares_is_cut_by_the_calendar_only(body):
    derive = [{"as": "made", "expr": "day"}]
    found = mistakes(body, derive=derive, group_by=[bucket("1h", "made")])
    assert found["#/group_by/0/time_bucket"].endswith("use 1d, 1w, 1mo, 1q, 1y")


def test_a_bucket_has_the_type_and_the_zone_that_its_column_gives_it(body):
    keys = [
        bucket(width, column, **{"as": f"{column}{width}"})
        for column in ("day", "local", "at")
        for width in ("1h", "1q")
    ]
    source = {"uris": ["upload:u"], "timezone": "Asia/Seoul"}
    query = bind(spec_of(body, source=source, group_by=[*keys[1:], bucket("1w", "at", tz="UTC")]), SCHEMA)
    assert [str(key.type) for key in query.keys] == [
        "date",
        "timestamp",
        "date",
        "timestamptz",
        "date",
        "date",
    ]
    assert [made.by.zone for made in query.made] == [None, None, None, "Asia/Seoul", "Asia/Seoul", "UTC"]


def test_the_culprits_of_a_string_column_are_told_where_an_expression_needs_a_number(body):
    changes = {"derive": [{"as": "net", "expr": "status * 2"}], "group_by": [bucket("1d", "status")]}
    assert needed_kinds(spec_of(body, **changes), SCHEMA) == {("status", "float64"), ("status", "timestamp")}
    misfits = {("status", "float64"): "'N/A' in 3% of sampled rows"}
    assert mistakes(body, misfits=misfits, **changes)["#/derive/0/expr"].endswith(
        "; \"status\": 'N/A' in 3% of sampled rows"
    )


def test_a_sum_of_integers_is_a_large_decimal_for_compute(body):
    query = bind(
        spec_of(
            body,
            aggregates=[{"fn": "sum", "column": "n"}, {"fn": "count"}],
            compute=[{"as": "twice", "expr": "sum_n * 2"}, {"as": "share", "expr": "sum_n / count"}],
            having="twice > count and share < 2",
        ),
        SCHEMA,
    )
    assert {name: str(of) for name, of in query.result.items()} == {
        "sum_n": "int64",
        "count": "int64",
        "twice": "decimal(38,0)",
        "share": "float64",
    }
