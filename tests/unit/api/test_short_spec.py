"""A stored spec as a person would write it."""

import json

import pytest

from api_service.dashboard.short_spec import short
from shared.spec.parse import parse_spec

SPECS = [
    {"source": {"uris": ["file:///a.csv"]}, "group_by": [], "aggregates": [{"fn": "count"}]},
    {
        "source": {
            "uris": ["file:///a.csv"],
            "csv": {"delimiter": "\t", "quote": None, "header": False, "names": ["a", "b"]},
            "types": {"a": "int64", "b": {"type": "float64", "strip": "EUR"}},
        },
        "derive": [{"expr": "b * 2", "as": "c"}],
        "where": "a > 1",
        "group_by": ["a", {"time_bucket": "1mo", "column": "t", "tz": "Asia/Seoul"}],
        "aggregates": [
            {"fn": "sum", "column": "c"},
            {"fn": "std", "column": "c", "ddof": 0},
            {"fn": "quantile", "column": "c", "q": [0.5], "as": "median"},
            {"fn": "arg_max", "column": "a", "by": "c"},
        ],
        "output": {"name": "x", "versions": 4},
        "options": {"on_bad_row": "skip"},
        "labels": {"team": "sales"},
    },
]


@pytest.mark.parametrize("spec", SPECS)
def test_the_stored_form_becomes_the_short_one_again(spec):
    stored = parse_spec(json.dumps(spec).encode())
    found = short(json.loads(stored.model_dump_json(by_alias=True)))
    assert found == spec
    assert parse_spec(json.dumps(found).encode()) == stored


def test_a_value_that_only_equals_a_default_stays():
    spec = {"source": {"csv": {"header": 1}}, "options": {"priority": 5.0}, "labels": 7}
    assert short(spec) == spec
