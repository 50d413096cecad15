"""Each error of a spec stands beside a field of the form."""

import pytest

from api_service.dashboard.new_draft import of_fields, of_spec, with_row
from api_service.dashboard.new_view import OFFERS, choices, placed, places
from shared.spec.functions import FUNCTIONS

SPEC = {
    "source": {"uris": ["file:///a.csv"], "types": {"a/b": "int64"}},
    "derive": [{"expr": "a", "as": "made"}],
    "group_by": ["a", {"time_bucket": "1d", "column": "day"}],
    "aggregates": [{"fn": "corr", "y": "v", "x": "w"}],
}


@pytest.mark.parametrize(
    ("pointer", "field", "said"),
    [
        ("#/where", "/where", "wrong"),
        ("#/source/csv/null_values/3", "/source/csv/null_values", "#/source/csv/null_values/3: wrong"),
        ("#/group_by/0", "/group_by/0/column", "wrong"),
        ("#/group_by/1/time_bucket", "/group_by/1/time_bucket", "wrong"),
        ("#/group_by", "/group_by", "wrong"),
        ("#/aggregates/0/fn", "/aggregates/0/fn", "wrong"),
        ("#/aggregates/0/colour", "/aggregates/0/column", "#/aggregates/0/colour: wrong"),
        ("#/source/types/a~1b", "/source/types/a~1b/type", "wrong"),
        ("#/source/types/b", "/source/types", "#/source/types/b: wrong"),
        ("#/labels/team", "/labels", "#/labels/team: wrong"),
        ("#/derive/0/expr", "", "#/derive/0/expr: wrong"),
        ("#", "", "#: wrong"),
    ],
)
def test_an_error_is_told_at_the_nearest_field(pointer, field, said):
    found = placed([{"pointer": pointer, "detail": "wrong"}], places(of_spec(SPEC)))
    assert found == {field: [said]}


def test_an_error_without_a_place_stands_at_the_top():
    assert placed([{"detail": "wrong"}], places(of_spec(SPEC))) == {"": ["wrong"]}


def test_an_empty_row_has_fields_too():
    assert "/aggregates/1/fn" in places(with_row(of_spec(SPEC), "aggregates"))


def test_every_function_is_offered_with_the_parameters_of_the_table():
    assert {offer.name: offer.takes.split() for offer in OFFERS} == {
        name: list(function.parameters) for name, function in FUNCTIONS.items()
    }


def test_columns_are_offered_that_the_spec_names_or_makes():
    assert [choice.name for choice in choices(None, SPEC)] == ["made", "a/b", "a", "day", "v", "w"]


@pytest.mark.parametrize(
    "odd", [{"source": 1, "derive": 2, "group_by": 3, "aggregates": [4]}, {"derive": [{"as": 1}]}]
)
def test_an_object_that_is_no_spec_has_a_form(odd):
    assert choices(None, odd) == []
    assert places(of_spec(odd))


def test_a_form_without_a_json_field_is_not_edited():
    draft = of_fields({"/where": "a > 1"})
    assert (draft.edited, draft.spec) == (False, {"where": "a > 1", "group_by": []})
