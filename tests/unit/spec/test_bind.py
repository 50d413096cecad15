import json

import pytest

from shared.errors import TypeMismatch
from shared.spec.bind import bind, needed_kinds
from shared.spec.models import JobSpec
from shared.spec.query import Aggregate, Input, Key, Query
from shared.spec.types import FLOAT64, INT64, STRING, DataType, Field, Schema, parse_type

SCHEMA = Schema(
    (
        Field("carrier", STRING),
        Field("month", INT64),
        Field("arr_delay", STRING),
        Field("distance", FLOAT64),
        Field("fare", parse_type("decimal(18,2)"), declared=True),
        Field("debt", parse_type("decimal(19,2)"), declared=True),
        Field("code", STRING, declared=True),
        Field("late", DataType("bool")),
        Field("day", DataType("date")),
    )
)


def spec_of(body, **changes) -> JobSpec:
    return JobSpec.model_validate_json(json.dumps(body(**changes)))


def problems(error, body, **changes) -> dict[str, str]:
    with pytest.raises(error) as caught:
        bind(spec_of(body, **changes), SCHEMA)
    return {e["pointer"]: e["detail"] for e in caught.value.errors}


def test_a_spec_and_a_schema_make_a_query(body):
    aggregates = [
        {"fn": "count"},
        {"fn": "sum", "column": "month", "as": "m"},
        {"fn": "std", "column": "fare", "ddof": 0},
        {"fn": "max", "column": "day"},
    ]
    spec = spec_of(
        body,
        group_by=["carrier", "month"],
        aggregates=aggregates,
        semantics="pandas",
        limits={"max_groups": 7, "max_state_bytes": 8},
    )
    fare, day = parse_type("decimal(18,2)"), DataType("date")
    assert bind(spec, SCHEMA) == Query(
        keys=(
            Key(column="carrier", name="carrier", type=STRING),
            Key(column="month", name="month", type=INT64),
        ),
        aggregates=(
            Aggregate(fn="count", name="count", inputs=(), result=INT64),
            Aggregate(fn="sum", name="m", inputs=(Input("month", INT64),), result=INT64, may_widen=True),
            Aggregate(fn="std", name="std_fare", inputs=(Input("fare", fare),), result=FLOAT64, ddof=0),
            Aggregate(fn="max", name="max_day", inputs=(Input("day", day),), result=day),
        ),
        semantics="pandas",
        max_groups=7,
        max_state_bytes=8,
    )


def test_only_the_sum_of_integers_may_widen(body):
    aggregates = [
        {"fn": fn, "column": c}
        for fn, c in [("sum", "distance"), ("sum", "fare"), ("max", "month"), ("count", "month")]
    ]
    assert not any(a.may_widen for a in bind(spec_of(body, aggregates=aggregates), SCHEMA).aggregates)


def test_the_error_for_a_sum_of_strings_names_a_remedy(body):
    found = problems(
        TypeMismatch,
        body,
        aggregates=[{"fn": "mean", "column": "arr_delay"}, {"fn": "sum", "column": "code"}],
    )
    assert found["#/aggregates/0/column"] == (
        'mean needs a number, and "arr_delay" is string: source.types can declare another type; '
        "a string can be given to count, min, max, first, last, arg_min, arg_max, nunique, mode, top, bottom"
    )
    assert (
        "source.types declares it so, and a string can be given to count, min, max"
        in found["#/aggregates/1/column"]
    )


def test_bools_and_dates_are_no_numbers(body):
    found = problems(
        TypeMismatch, body, aggregates=[{"fn": "sum", "column": "late"}, {"fn": "var", "column": "day"}]
    )
    assert found["#/aggregates/0/column"].startswith(
        'sum needs a number, and "late" is bool: a bool can be given to count, min, max, any'
    )
    assert set(found) == {"#/aggregates/0/column", "#/aggregates/1/column"}


def test_the_columns_of_an_aggregate_keep_the_order_of_its_parameters(body):
    aggregates = [
        {"fn": "corr", "x": "month", "y": "distance"},
        {"fn": "arg_max", "by": "day", "column": "code"},
    ]
    query = bind(spec_of(body, aggregates=aggregates), SCHEMA)
    assert [a.columns for a in query.aggregates] == [("distance", "month"), ("code", "day")]
    assert query.aggregates[1].result == STRING
    assert query.columns == ["carrier", "distance", "month", "code", "day"]


def test_a_decimal_of_any_length_can_be_counted_and_grouped_by(body):
    spec = spec_of(body, group_by=["debt"], aggregates=[{"fn": "count", "column": "debt"}])
    assert bind(spec, SCHEMA).columns == ["debt"]


def test_a_list_of_quantiles_makes_one_aggregate_each(body):
    aggregates = [
        {"fn": "quantile", "column": "distance", "q": [0.5, 0.999]},
        {"fn": "quantile", "column": "month", "q": 0.1},
    ]
    query = bind(spec_of(body, aggregates=aggregates), SCHEMA)
    found = [(a.name, a.q, a.columns) for a in query.aggregates]
    assert found == [
        ("quantile_distance_p50", 0.5, ("distance",)),
        ("quantile_distance_p99_9", 0.999, ("distance",)),
        ("quantile_month", 0.1, ("month",)),
    ]


def test_a_column_that_is_key_and_value_is_two_fields(body):
    schema = Schema(
        (Field("\0code", STRING, key=True), Field("code", FLOAT64), Field("day", STRING, key=True))
    )
    spec = spec_of(body, group_by=["code", "day"], aggregates=[{"fn": "sum", "column": "code"}])
    query = bind(spec, schema)
    assert [(key.name, key.column, key.type) for key in query.keys] == [
        ("code", "\0code", STRING),
        ("day", "day", STRING),
    ]
    assert query.aggregates[0].inputs == (Input("code", FLOAT64),)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"where": "price > '50'"}, "#/where"),
        ({"where": "'10' <= coalesce(price, carrier) and month > 1"}, "#/where"),
        ({"derive": [{"as": "p", "expr": "greatest(price, '50')"}]}, "#/derive/0/expr"),
        ({"derive": [{"as": "p", "expr": "trim(price)"}], "where": "p < 'x'"}, "#/where"),
        (
            {
                "derive": [{"as": "p", "expr": "trim(price)"}],
                "aggregates": [{"fn": "max", "column": "p"}],
            },
            "#/aggregates/0/column",
        ),
    ],
)
def test_texts_of_a_column_that_mostly_reads_as_a_number_are_not_ordered(body, changes, at):
    schema = Schema((*SCHEMA.fields, Field("price", STRING, reads="number")))
    changes = {"aggregates": [{"fn": "count"}]} | changes
    with pytest.raises(TypeMismatch) as caught:
        bind(spec_of(body, **changes), schema)
    [error] = caught.value.errors
    assert error["pointer"] == at
    assert 'would order "price" as text, and most of its values read as a number' in error["detail"]
    declared = Schema((*SCHEMA.fields, Field("price", STRING, declared=True)))
    assert bind(spec_of(body, **changes), declared)


def test_texts_of_such_a_column_can_be_told_apart_and_measured(body):
    schema = Schema((*SCHEMA.fields, Field("price", STRING, reads="number")))
    where = "price == '50' and length(price) > 1 and if_else(price == 'N/A', 'a', 'b') < 'b'"
    assert bind(spec_of(body, aggregates=[{"fn": "count"}], where=where), schema)


def test_a_number_in_a_time_bucket_is_told_that_epochs_are_no_times(body):
    found = problems(
        TypeMismatch,
        body,
        group_by=[{"time_bucket": "1d", "column": "month"}],
        aggregates=[{"fn": "any", "column": "month"}],
    )
    assert found["#/group_by/0/column"] == (
        'a bucket needs a date or a timestamp, and "month" is int64: numbers, such as seconds since 1970, '
        "are not read as times; write times into the data"
    )
    assert found["#/aggregates/0/column"].startswith(
        'any needs a bool, and "month" is int64: derive a bool from it, by an expression such as month != 0; '
        "an int64 can be given to count"
    )


def test_numbers_that_may_be_times_or_bools_are_asked_for_and_told_with_their_cure(body):
    spec = spec_of(
        body,
        group_by=[{"time_bucket": "1d", "column": "month"}],
        aggregates=[{"fn": "any", "column": "month"}],
    )
    wanted = {("month", "timestamp"), ("month", "bool")}
    assert needed_kinds(spec, SCHEMA) == wanted
    with pytest.raises(TypeMismatch) as caught:
        bind(spec, SCHEMA, {one: f"'7'; write {one[1]} into source.types" for one in wanted})
    bucket, aggregate = (error["detail"] for error in caught.value.errors)
    assert bucket.endswith("is int64: '7'; write timestamp into source.types")
    assert "is int64: '7'; write bool into source.types; an int64 can be given to count" in aggregate
