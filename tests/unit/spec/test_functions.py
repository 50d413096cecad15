import pytest

from shared.spec.functions import FUNCTIONS, SYNONYMS
from shared.spec.types import FLOAT64, INT64, STRING, TIMESTAMPTZ, DataType


def decimal(precision: int, scale: int) -> DataType:
    return DataType("decimal", precision, scale)


@pytest.mark.parametrize(
    ("fn", "of", "result"),
    [
        ("count", None, INT64),
        ("count", STRING, INT64),
        ("sum", INT64, INT64),
        ("sum", FLOAT64, FLOAT64),
        ("sum", decimal(9, 2), decimal(38, 2)),
        ("mean", INT64, FLOAT64),
        ("mean", FLOAT64, FLOAT64),
        ("mean", decimal(9, 2), decimal(38, 8)),
        ("mean", decimal(38, 35), decimal(38, 35)),
        ("mean", decimal(34, 2), decimal(38, 6)),
        ("min", STRING, STRING),
        ("max", TIMESTAMPTZ, TIMESTAMPTZ),
        ("max", decimal(9, 2), decimal(9, 2)),
        ("var", decimal(9, 2), FLOAT64),
        ("std", INT64, FLOAT64),
        ("median", INT64, FLOAT64),
        ("top", decimal(9, 2), DataType("decimal", 9, 2, array=True)),
        ("quantile", decimal(9, 2), decimal(38, 8)),
    ],
)
def test_result_types_follow_the_rule_of_the_function(fn, of, result):
    assert FUNCTIONS[fn].result(of) == result


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("avg", "mean"),
        ("average", "mean"),
        ("AVG", "mean"),
        ("stddev", "std"),
        ("variance", "var"),
        ("distinct", "nunique"),
        ("count_distinct", "nunique"),
        ("percentile", "quantile"),
        ("summ", "sum"),
        ("quantil", "quantile"),
        ("Sum", "sum"),
    ],
)
def test_a_function_by_another_name_gets_a_guess(reject, body, word, meant):
    problems = reject(body(aggregates=[{"fn": word, "column": "x"}]))
    assert problems == {"#/aggregates/0/fn": f'"{word}" is not a function; did you mean "{meant}"?'}


def test_a_function_that_resembles_none_gets_the_list(reject, body):
    detail = reject(body(aggregates=[{"fn": "zzz"}]))["#/aggregates/0/fn"]
    assert all(name in detail for name in FUNCTIONS)


def test_other_names_never_hide_a_function():
    assert not SYNONYMS.keys() & FUNCTIONS.keys()
    assert set(SYNONYMS.values()) == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("aggregate", "name"),
    [
        ({"fn": "count"}, "count"),
        ({"fn": "count", "column": "a"}, "count_a"),
        ({"fn": "mean", "column": "{a}"}, "mean_{a}"),
        ({"fn": "corr", "y": "net", "x": "fee"}, "corr_net_fee"),
        ({"fn": "arg_max", "column": "a", "by": "b"}, "arg_max_a_by_b"),
        ({"fn": "quantile", "column": "a", "q": 0.5}, "quantile_a"),
        ({"fn": "sum", "column": "a", "as": "revenue"}, "revenue"),
        ({"fn": "sum", "column": "a", "as": None}, "sum_a"),
    ],
)
def test_default_names_say_function_and_columns(aggregate, name):
    from shared.spec.models import AggregateSpec

    assert AggregateSpec.model_validate(aggregate).name == name


def test_a_list_of_quantiles_makes_one_column_each():
    from shared.spec.models import AggregateSpec

    aggregate = AggregateSpec.model_validate(
        {"fn": "quantile", "column": "a", "q": [0, 0.5, 0.95, 0.999, 1, 0.29], "as": "x"}
    )
    assert aggregate.result_columns == ["x_p0", "x_p50", "x_p95", "x_p99_9", "x_p100", "x_p29"]


@pytest.mark.parametrize(
    ("aggregate", "wrong"),
    [
        ({"fn": "sum"}, {"column"}),
        ({"fn": "sum", "column": None}, {"column"}),
        ({"fn": "sum", "column": "a", "ddof": 0}, {"ddof"}),
        ({"fn": "mean", "column": "a", "q": 0.5, "k": 1, "by": "b"}, {"q", "k", "by"}),
        ({"fn": "count", "x": "a"}, {"x"}),
        ({"fn": "std", "column": "a", "ddof": -1}, {"ddof"}),
        ({"fn": "std", "column": "a", "ddof": 0.5}, {"ddof"}),
        ({"fn": "std", "column": ""}, {"column"}),
        ({"fn": "corr", "column": "a"}, {"column", "y", "x"}),
        ({"fn": "quantile", "column": "a", "q": []}, {"q"}),
        ({"fn": "quantile", "column": "a", "q": [0.1, 1.1]}, {"q/1"}),
        ({"fn": "quantile", "column": "a", "q": "0.5"}, {"q"}),
        ({"fn": "quantile", "column": "a", "q": [0.5, 5e-324]}, {"q/1"}),
        ({"fn": "quantile", "column": "a", "q": [0.5, 0.5]}, {"as"}),
        ({"fn": "top", "column": "a", "k": 0}, {"k"}),
        ({"fn": "sum", "column": "a", "colum": "b"}, {"colum"}),
        ({"column": "a"}, {"fn"}),
        ({"fn": None}, {"fn"}),
        ({"fn": "arg_min", "column": 5}, {"column", "by"}),
    ],
)
def test_parameters_are_the_ones_of_the_function(reject, body, aggregate, wrong):
    assert set(reject(body(aggregates=[aggregate]))) == {f"#/aggregates/0/{name}" for name in wrong}
