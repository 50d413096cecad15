import json

import pytest

from shared.errors import UnknownColumn
from shared.spec.models import JobSpec
from shared.spec.uses import Mention, Uses, uses

NAMES = ["carrier", "month", "arr_delay"]


def uses_of(body, **changes) -> Uses:
    return uses(JobSpec.model_validate_json(json.dumps(body(**changes))))


def unknown(found: Uses, names=NAMES, **how) -> dict[str, str]:
    with pytest.raises(UnknownColumn) as caught:
        found.check(names, **how)
    return {e["pointer"]: e["detail"] for e in caught.value.errors}


def test_every_unknown_column_is_named_with_a_guess_and_the_columns_there_are(body):
    source = {"uris": ["upload:u"], "types": {"carier/x": "string"}}
    wanted = uses_of(body, source=source, group_by=["Carrier"], aggregates=[{"fn": "sum", "column": "zzz"}])
    found = unknown(wanted)
    assert set(found) == {"#/source/types/carier~1x", "#/group_by/0", "#/aggregates/0/column"}
    assert 'did you mean "carrier"?' in found["#/group_by/0"]
    assert '"carrier", "month", "arr_delay"' in found["#/aggregates/0/column"]


def test_a_hint_follows_the_columns_there_are(body):
    found = unknown(uses_of(body, group_by=["year"], aggregates=[{"fn": "count"}]), hint=lambda n: f"; {n}!")
    assert found["#/group_by/0"].endswith('"arr_delay"; year!')


def test_keys_and_values_are_told_apart_and_each_is_used_once(body):
    source = {"uris": ["upload:u"], "types": {"z": "string"}}
    aggregates = [
        {"fn": "sum", "column": "a"},
        {"fn": "arg_max", "column": "b", "by": "a"},
        {"fn": "max", "column": "k"},
    ]
    found = uses_of(body, source=source, group_by=["k", "l"], aggregates=aggregates)
    assert (found.keys, found.values) == (("k", "l"), ("a", "b", "k"))
    assert found.columns == ("k", "l", "a", "b")


def test_a_name_in_parts_is_told_with_backticks():
    found = Uses((Mention(("where",), "my", value=True, position=1),))
    with pytest.raises(UnknownColumn) as caught:
        found.check(["my-col", "b"])
    assert caught.value.errors[0]["detail"].endswith(
        '; a name such as "my-col" stands in backticks in an expression'
    )
