"""Each error of a spec stands beside a field of the form."""

import json

import pytest

from api_service.dashboard.new_draft import of_fields, of_spec, read_object, rows, with_row
from api_service.dashboard.new_view import OFFERS, SHOWN_KEPT, choices, page_values, placed, places
from api_service.dashboard.spec_form import MOST_ROWS
from shared.errors import MalformedJson
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
        ("#/derive/0/expr", "/derive/0/expr", "wrong"),
        ("#/derive/7", "/derive", "#/derive/7: wrong"),
        ("#/compute", "/compute", "wrong"),
        ("#/limits/max_groups", "", "#/limits/max_groups: wrong"),
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


def aggregates(number: int) -> dict:
    rows = [{"fn": "sum", "column": f"c{no}", "as": f"s{no}"} for no in range(number)]
    return {"source": {"uris": ["file:///a.csv"]}, "group_by": ["k"], "aggregates": rows}


def test_a_page_has_selects_only_for_so_many_options():
    assert not page_values(of_spec(aggregates(50)), None, None)["propose"]
    assert page_values(of_spec(aggregates(100)), None, None)["propose"]


@pytest.mark.parametrize("number", [MOST_ROWS + 1, 3000])
def test_a_list_that_is_too_long_for_a_spec_is_kept_beside_the_fields(number):
    fields = {f"/aggregates/{no}/fn": "sum" for no in range(number)}
    for draft in (of_spec(aggregates(number)), of_fields(fields)):
        values = page_values(draft, None, None)
        assert values["kept"] == ["#/aggregates"]
        assert not [name for name in draft.form.fields if name.startswith("/aggregates/")]
        assert values["aggregates"] == []
        assert len(draft.spec["aggregates"]) == number
        assert not draft.undecided


def test_types_beyond_a_number_are_kept_beside_the_fields():
    spec = {"source": {"types": {f"c{no}": "int64" for no in range(3000)}}, "group_by": []}
    draft = of_spec(spec)
    values = page_values(draft, None, None)
    assert (len(values["types"]), len(values["kept"])) == (MOST_ROWS, SHOWN_KEPT)
    assert values["further_kept"] == 3000 - MOST_ROWS - SHOWN_KEPT
    assert draft.spec == spec


def test_a_kept_list_of_no_rows_gets_an_empty_row():
    assert len(rows(of_spec({"aggregates": []}), "aggregates")) == 1


def test_so_many_arrays_and_objects_stand_within_each_other():
    inner = json.loads('[{"a": ' * 24 + "1" + "}]" * 24)
    assert read_object(json.dumps({"a": [inner]}), "it")
    with pytest.raises(MalformedJson, match="it has more than 50 arrays or objects within each other"):
        read_object(json.dumps({"a": [[inner]]}), "it")
