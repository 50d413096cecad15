"""A value that is valid but not supported yet is refused with its pointer, once all else is valid."""

import pytest

from shared.errors import NotSupported
from shared.spec.functions import FUNCTIONS

ARGUMENTS = {"column": "a", "by": "b", "y": "y", "x": "x", "q": 0.5, "k": 3}


def source(**keys):
    return {"uris": ["upload:u"], **keys}


BUCKET = {"time_bucket": "1h", "column": "ts", "as": "hour"}
REFUSED = [
    ("#/source/uris/1", {"source": {"uris": ["upload:u", "s3://bucket/key.csv"]}}),
    ("#/source/compression", {"source": source(compression="snappy")}),
    ("#/source/csv/escape", {"source": source(csv={"escape": "§"})}),
    ("#/source/csv/comment", {"source": source(csv={"comment": "§"})}),
    ("#/source/csv/quote", {"source": source(csv={"quote": "«"})}),
]


@pytest.mark.parametrize(("pointer", "changes"), REFUSED)
def test_an_unsupported_value_is_refused_at_its_pointer(reject, body, pointer, changes):
    assert list(reject(body(**changes), NotSupported)) == [pointer]


@pytest.mark.parametrize(("pointer", "changes"), REFUSED)
def test_a_mistake_anywhere_is_reported_before_unsupported_values(reject, body, pointer, changes):
    assert list(reject(body(**changes, nonsense=1))) == ["#/nonsense"]


def test_every_function_is_accepted_with_its_parameters_and_refused_without(accept, reject, body):
    for fn, function in FUNCTIONS.items():
        needed = {
            name: ARGUMENTS[name] for name, parameter in function.parameters.items() if parameter.required
        }
        accept(body(aggregates=[{"fn": fn, **needed}]))
        if needed:
            assert set(reject(body(aggregates=[{"fn": fn}]))) == {f"#/aggregates/0/{name}" for name in needed}


def test_everything_that_is_not_built_is_named_at_once(reject, body):
    changes = {
        "source": source(compression="snappy", csv={"comment": "§"}),
    }
    refusal = reject(body(**changes), NotSupported)
    assert set(refusal) == {"#/source/compression", "#/source/csv/comment"}


@pytest.mark.parametrize(
    "changes",
    [
        {"derive": [], "where": None, "compute": [], "having": None},
        {"derive": [{"as": "net", "expr": "a - b"}], "where": "net > 0", "group_by": ["carrier", BUCKET]},
        {"aggregates": [{"fn": "count", "where": "a > 0"}], "having": "count > 1"},
        {
            "compute": [{"as": "r", "expr": "mean_delay / count"}, {"as": "s", "expr": "r + 1"}],
            "having": "s > 1",
        },
        {
            "source": source(
                format="csv",
                compression="gzip",
                csv={"delimiter": "\t", "quote": "'", "null_values": ["NA", ""]},
            )
        },
        {"source": source(format="parquet")},
        {"source": source(csv={"encoding": "UTF8"})},
        {"source": source(csv={"encoding": "latin-1", "quote": None, "escape": "\\", "comment": "#"})},
        {
            "source": source(
                types={"a": "bool", "b": "date", "c": "decimal(38,38)", "d": "timestamp"},
                timezone="Asia/Seoul",
            )
        },
        {
            "semantics": "pandas",
            "output": {"name": "a_1", "versions": 1},
            "options": {"priority": 0, "chunk_bytes": 1},
        },
        {
            "limits": {"max_groups": 1, "max_bytes": 1, "max_chunks": 1, "max_state_bytes": 1},
            "labels": {"team": "성장"},
        },
        {"options": {"on_bad_row": "fail", "max_bad_rows": None, "deadline": "15m"}},
        {"options": {"on_bad_row": "quarantine", "max_bad_rows": 0}},
        {"options": {"on_bad_row": "skip"}},
    ],
)
def test_supported_values_are_accepted(accept, body, changes):
    accept(body(**changes))
