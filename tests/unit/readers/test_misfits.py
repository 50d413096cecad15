"""The values that keep a column from being a number, in the words of the error."""

import gzip

import pytest

from tests.support.child_tasks import plan_task
from tests.support.datasets import opened, source, stored
from worker_service.child import tasks
from worker_service.readers import misfits


def found(*contents, spec=None, columns=("n",), kind="float64"):
    with opened(*contents) as files:
        return {
            name: text
            for (name, _), text in misfits(
                files, spec or source(delimiter=","), [(name, kind) for name in columns]
            ).items()
        }


def told(*contents, **options):
    """Without the cure."""
    return {name: text.partition("; write")[0] for name, text in found(*contents, **options).items()}


def numbers(*others):
    """1,000 records, of which the last ones hold *others*."""
    return "n,s\n" + "".join(f"{value},x\n" for value in [*map(str, range(1000 - len(others))), *others])


def test_the_few_values_that_are_no_numbers_are_named_with_how_often_they_occur():
    assert told(numbers(*["NA"] * 28).encode()) == {"n": "'NA' in 2.8% of sampled rows"}
    assert told(numbers("-", *["n/a"] * 10).encode()) == {"n": "'n/a' in 1.0%, '-' in 0.1% of sampled rows"}
    assert told((numbers() + "1.5,\n" * 2000 + "'7,x\n").encode()) == {
        "n": '"\'7" in less than 0.1% of sampled rows'
    }


def test_empty_fields_and_given_spellings_of_null_are_no_misfits():
    data = numbers("", '""', "NA", "?").encode()
    assert told(data, spec=source(delimiter=",", null_values=("NA",))) == {"n": "'?' in 0.1% of sampled rows"}


def test_each_column_is_asked_for_what_is_wanted_of_it():
    data = ("n,s\n" + "true,1\n" * 499 + "yes,1\n").encode()
    assert told(data, kind="bool") == {"n": "'yes' in 0.2% of sampled rows"}
    assert told(data, columns=("n", "s"), kind="float64") == {
        "n": "'true' in 99.8%, 'yes' in 0.2% of sampled rows"
    }


def test_of_text_the_first_values_are_shown():
    assert told(numbers("a", "b", "c", "d").encode()) == {"n": "'a', 'b', 'c' and others"}
    assert told(b"n,s\n1,x\n", columns=("n", "s")) == {"s": "'x' in 100.0% of sampled rows"}
    assert told(b"n\nNA\nNA\n") == {"n": "'NA' in 100.0% of sampled rows"}


def test_numbers_and_nothing_have_no_misfits():
    assert told(numbers().encode()) == {}
    assert told(b"n\n") == {}
    assert told(b"n\n1\n", columns=()) == {}


def test_many_files_compressed_and_in_other_encodings_are_sampled_together():
    files = [numbers(*["é"] * 4).encode("cp1252"), gzip.compress(numbers().encode()), b"n,s\n"]
    assert told(*files, spec=source(delimiter=",", encoding="cp1252")) == {"n": "'é' in 0.2% of sampled rows"}


@pytest.mark.parametrize(
    ("values", "kind", "entry"),
    [
        (["NA"] * 28, "float64", '{"type": "int64", "null_values": ["NA"]}'),
        (["1.5", "-", "n/a"], "float64", '{"type": "float64", "null_values": ["-", "n/a"]}'),
        (["NA", "NA"] * 500, "float64", '{"type": "float64", "null_values": ["NA"]}'),
    ],
)
def test_the_cure_is_an_entry_of_types(values, kind, entry):
    assert found(numbers(*values).encode(), kind=kind)["n"].endswith(
        f'write {{"n": {entry}}} into source.types'
    )


@pytest.mark.parametrize(
    ("values", "kind", "entry"),
    [
        (['"12.50"', "7", "9.99"], "float64", "float64"),
        (['"7"'], "float64", "int64"),
        (['"true"'], "bool", "bool"),
        (['"2024-10-27 12:00:00"'], "timestamp", "timestamp"),
    ],
)
def test_strings_of_ndjson_in_our_own_spelling_have_the_cure_alone(values, kind, entry):
    data = "".join(f'{{"n": {value}}}\n' for value in values).encode()
    assert found(data, spec=source(), kind=kind) == {
        "n": f'write {{"n": {{"type": "{entry}"}}}} into source.types'
    }


@pytest.mark.parametrize(
    ("aggregate", "why"),
    [
        (
            {"fn": "mean", "column": "n"},
            'write {"n": {"type": "int64", "null_values": ["NA"]}} into source.types; a string',
        ),
        ({"fn": "sum", "column": "s"}, "'x' in 100.0% of sampled rows; a string"),
        ({"fn": "any", "column": "s"}, "'x' in 100.0% of sampled rows; a string"),
        ({"fn": "all", "column": "n"}, "'NA', '0', '1' and others; a string"),
    ],
)
def test_planning_a_job_fails_with_the_misfits_and_the_cure(aggregate, why):
    spec = {"source": {"uris": ["file:///data/t0"]}, "group_by": [], "aggregates": [aggregate]}
    with stored(numbers(*["NA"] * 28).encode()) as path:
        outcome, _ = tasks.run(plan_task(spec, path, chunk_bytes=100))
    assert outcome.problem["code"] == "type_mismatch"
    assert f'"{aggregate["column"]}" is string: \'' in outcome.problem["detail"]
    assert why in outcome.problem["detail"]
