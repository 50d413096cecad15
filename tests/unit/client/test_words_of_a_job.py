"""The words of a job become the spec that the service reads: shared.spec is the judge."""

import json
from datetime import timedelta
from typing import get_type_hints

import pytest

from gristmill import bucket, day, hour, month, quarter, week, year
from gristmill.client import spec
from gristmill.client.spec import job_spec
from shared.spec import column_text, functions, grouping, models, source
from shared.spec.parse import parse_spec

URIS = ["upload:upl_1"]
WORDS = {
    "by": ["country", month("ordered"), bucket("paid", "15m", tz="Asia/Seoul", as_="quarter_hour")],
    "aggs": {
        "revenue": ("price", "sum"),
        "p95": ("price", "quantile", {"q": 0.95}),
        "paid_ones": {"fn": "count", "where": "status == 'paid'"},
        "r": {"fn": "corr", "x": "price", "y": "weight"},
        "n": "count",
    },
    "where": "price > 0",
    "having": "n > 1",
    "derive": {"net": "price - 1"},
    "compute": {"each": "revenue / n"},
    "types": {"price": "decimal(9,2)", "ordered": {"type": "date", "format": "%d/%m/%Y"}},
    "csv": {"delimiter": ";"},
    "format": "csv",
    "timezone": "Europe/Berlin",
    "source_options": {"file_column": "file"},
    "on_bad_row": "quarantine",
    "max_bad_rows": 7,
    "name": "orders",
    "indexes": [["-revenue"]],
    "output": {"versions": 5},
    "priority": 9,
    "deadline": timedelta(minutes=90),
    "options": {"max_parallel_chunks": 2},
    "limits": {"max_groups": 10},
    "labels": {"team": "growth"},
}


def read(words: dict) -> models.JobSpec:
    return parse_spec(json.dumps(job_spec(URIS, words)).encode())


def test_every_word_has_its_place_in_the_spec():
    parsed = read(WORDS)

    assert parsed.source.uris == tuple(URIS)
    assert [key if isinstance(key, str) else key.as_ or key.column for key in parsed.group_by] == [
        "country", "ordered", "quarter_hour",
    ]  # fmt: skip
    assert [(each.fn, each.as_) for each in parsed.aggregates] == [
        ("sum", "revenue"), ("quantile", "p95"), ("count", "paid_ones"), ("corr", "r"), ("count", "n"),
    ]  # fmt: skip
    assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == job_spec(URIS, WORDS) | {
        "options": {
            "on_bad_row": "quarantine", "max_bad_rows": 7, "priority": 9, "deadline": "5400s",
            "max_parallel_chunks": 2,
        },
        "source": job_spec(URIS, WORDS)["source"]
        | {"types": {"price": "decimal(9,2)", "ordered": {"type": "date", "format": ["%d/%m/%Y"]}}},
    }  # fmt: skip


def test_a_test_covers_each_word():
    assert {*WORDS, "semantics", "spec"} == get_type_hints(spec.Words).keys()


@pytest.mark.parametrize(
    ("word", "every"),
    [(hour, "1h"), (day, "1d"), (week, "1w"), (month, "1mo"), (quarter, "1q"), (year, "1y")],
)
def test_a_unit_of_time_is_a_bucket(word, every):
    assert word("at", tz="UTC", as_="t") == bucket("at", every, tz="UTC", as_="t")
    [key] = read({"by": word("at"), "aggs": {"n": "count"}}).group_by
    assert key == grouping.TimeBucket.model_validate({"time_bucket": every, "column": "at"})


@pytest.mark.parametrize(
    ("typed", "model"),
    [
        (spec.JobSpec, models.JobSpec),
        (spec.Output, models.OutputSpec),
        (spec.Options, models.Options),
        (spec.Limits, models.Limits),
        (spec.Named, models.Computed),
        (spec.Aggregate, grouping.AggregateSpec),
        (spec.TimeBucket, grouping.TimeBucket),
        (spec.ColumnType, column_text.ColumnText),
        (spec.Source, source.SourceSpec),
        (spec.Csv, source.CsvOptions),
    ],
)
def test_an_editor_completes_the_keys_that_the_service_knows(typed, model):
    known = {field.alias or name for name, field in model.model_fields.items()}

    assert get_type_hints(typed).keys() == known


def test_the_functions_are_those_of_the_service():
    assert {*spec.Function.__args__} == {*functions.FUNCTIONS}


def test_a_spec_takes_the_place_of_all_words_and_the_source_that_of_its_uris():
    whole = {
        "source": {"uris": ["file:///a"], "format": "csv"},
        "group_by": [],
        "aggregates": [{"fn": "count"}],
    }

    assert job_spec([], {"spec": whole}) == whole
    assert job_spec(URIS, {"spec": whole})["source"] == {"uris": URIS, "format": "csv"}
    assert whole["source"]["uris"] == ["file:///a"]
    with pytest.raises(TypeError, match="leave out by, or put it into the spec"):
        job_spec([], {"spec": whole, "by": "a"})


def test_no_words_are_an_empty_list_of_keys():
    assert job_spec(URIS, {}) == {"source": {"uris": URIS}, "group_by": []}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"groupby": "a"}, "unknown arguments: groupby; known are where"),
        ({"options": {"priority": 1}, "priority": 2}, "priority is given twice: in options"),
    ],
)
def test_words_that_cannot_be_are_refused(words, message):
    with pytest.raises(TypeError, match=message):
        job_spec(URIS, words)


def test_an_aggregate_of_another_form_is_refused_with_the_forms_that_there_are():
    with pytest.raises(ValueError, match=r"aggs\['a'\] is 7: expected 'count', \(column, function\)"):
        job_spec(URIS, {"aggs": {"a": 7}})
