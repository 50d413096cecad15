"""The types that a result may yet get, when it is held against the published one before its data is read."""

import json

from shared.core.columns import misfits, restoring
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import DATE, FLOAT64, INT64, Field, Schema
from worker_service.units.plan import _origins, _undecided
from worker_service.units.publish import result_columns

SPEC = {
    "source": {"uris": ["file:///data/a.csv"]},
    "group_by": ["ver", "day"],
    "aggregates": [
        {"fn": "max", "column": "ver"},
        {"fn": "mean", "column": "n"},
        {"fn": "sum", "column": "n"},
    ],
}
SCHEMA = Schema(
    (
        Field("\0ver", INT64, key=True),
        Field("ver", INT64),
        Field("day", DATE, key=True),
        Field("n", FLOAT64, declared=True),
    )
)


def outlook():
    query = bind(JobSpec.model_validate_json(json.dumps(SPEC)), SCHEMA)
    undecided = _undecided(query, {field.name: field.wider for field in SCHEMA.fields})
    return query, {name: set(types) for name, types in undecided.items()}


def test_a_key_may_become_text_and_values_what_their_column_may_become():
    _, undecided = outlook()
    assert undecided == {
        "ver": {"string"},
        "day": {"string"},
        "max_ver": {"float64", "string"},
        "mean_n": set(),
        "sum_n": set(),
    }


def test_a_result_whose_key_was_text_may_follow_until_all_keys_are_read_and_one_of_doubles_may_not():
    query, undecided = outlook()
    columns = result_columns(query)
    text = [{"name": "ver", "type": "string"}, *columns[1:]]
    assert misfits(text, columns, undecided) == ""
    doubles = [{"name": "ver", "type": "float64"}, *columns[1:]]
    assert misfits(doubles, columns, undecided) == 'column 1 is "ver" float64 there and "ver" int64 here'
    assert restoring(doubles, columns, undecided, _origins(query, SCHEMA)) == [("ver", "float64", "")]


def test_only_columns_that_have_the_type_of_a_column_of_the_data_can_be_restored_by_a_declaration():
    query, undecided = outlook()
    columns = result_columns(query)
    other = [*columns[:2], {"name": "max_ver", "type": "date"}, {"name": "mean_n", "type": "decimal(38,6)"}]
    assert restoring(other, columns, undecided, _origins(query, SCHEMA)) == [
        ("ver", "date", ', if all values of "ver" are date')
    ]


def test_a_narrower_old_type_is_restored_only_if_all_values_are_of_it():
    query, undecided = outlook()
    columns = result_columns(query)
    origins = {"ver": "ver", "day": "day"}
    was = [{"name": "ver", "type": "bool"}, {"name": "day", "type": "timestamp"}]
    assert restoring(was, columns, undecided, origins) == [
        ("ver", "bool", ', if all values of "ver" are bool'),
        ("day", "timestamp", ""),
    ]
    arrays = [{"name": "ver", "type": "int64[]"}]
    assert restoring(arrays, columns, undecided, origins) == []
