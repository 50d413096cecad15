"""The cost of checking a spec, in calls: it grows with the body, and is little for a small one."""

import json
import sys

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from api_service.services import spec_check_process
from api_service.services.spec_check import (
    AT_ONCE_BYTES,
    EXPRESSIONS_AT_ONCE_BYTES,
    Rules,
    check,
    is_small,
    unwrapped,
)
from shared.errors import GristmillError, InternalError
from shared.spec import names
from shared.spec.admission import Ceilings
from shared.storage.sources import SourceRules
from tests.support.worst_specs import EXPRESSIONS, FAMILIES, lists_of_operands

SOURCES = SourceRules(
    allowed=("file:///data/", "file:///more/{tenant}/", "file:///a/"), uploads="/uploads", hidden=False
)
HIGH = Ceilings(
    max_groups=10**9,
    max_bytes=10**15,
    max_chunks=10**6,
    max_state_bytes=10**12,
    min_chunk_bytes=1,
    max_bad_rows=10**6,
)
LOW = Ceilings(
    max_groups=100,
    max_bytes=100,
    max_chunks=100,
    max_state_bytes=100,
    min_chunk_bytes=100,
    max_bad_rows=100,
)
RULES = Rules(tenant="default", sources=SOURCES, ceilings=HIGH)
BUDGET = 450_000
"""Calls, of C functions too; one takes about a tenth of a microsecond without being counted."""


def calls(work) -> int:
    made = 0

    def count(_, event, __):
        nonlocal made
        made += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


def outcome(body: bytes) -> list:
    """The errors that the sender is told of."""
    try:
        refusal = check(body, RULES).refusal
        return refusal["errors"] if refusal else []
    except GristmillError as error:
        return [error.problem(), *error.errors]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_worst_specs_of_each_size_cost_in_proportion_and_no_more_than_a_budget(family):
    half, whole = family(AT_ONCE_BYTES // 2), family(AT_ONCE_BYTES)
    assert len(whole) <= AT_ONCE_BYTES
    cost = calls(lambda: outcome(whole))

    assert cost <= BUDGET
    assert cost <= 2.2 * calls(lambda: outcome(half)) + 1000


@pytest.mark.parametrize("family", EXPRESSIONS, ids=lambda family: family.__name__)
def test_the_worst_expressions_that_are_checked_at_once_cost_no_more_than_the_budget(family):
    body = family(EXPRESSIONS_AT_ONCE_BYTES)
    assert calls(lambda: outcome(body)) <= BUDGET
    assert is_small(body)
    assert not is_small(family(2 * EXPRESSIONS_AT_ONCE_BYTES))
    assert not is_small(body.replace(b'"expr"', b'"\\u0065xpr"') + b" " * 2000)


def test_the_expressions_of_a_spec_have_a_bounded_length():
    [problem] = outcome(lists_of_operands(160_000))
    assert problem["pointer"] == "#"
    assert "at most 65,536 are taken" in problem["detail"]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_whatever_is_wrong_the_answer_is_small(family):
    errors = outcome(family(AT_ONCE_BYTES))

    assert len(errors) <= 101
    assert len(json.dumps(errors)) < 64 * 1024


class Counted(str):
    """Text that counts how often it is compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Counted.compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize(
    "family",
    [family for family in FAMILIES if "misspelt" in family.__name__],
    ids=lambda family: family.__name__,
)
def test_guesses_compare_a_bounded_number_of_letters(family, monkeypatch):
    compare = names.edits
    monkeypatch.setattr(
        names, "edits", lambda left, right, most: compare([*map(Counted, left)], [*map(Counted, right)], most)
    )
    Counted.compared = 0
    outcome(family(AT_ONCE_BYTES))

    assert (
        Counted.compared
        <= names.MAX_GUESSES * names.MAX_CANDIDATES * names.MAX_LETTERS * (2 * names.MAX_EDITS + 1) * 2
    )


def test_a_name_is_looked_up_and_not_searched_for():
    """Among the columns of the result, 512 names in 40,000; among those of the data, 400 in 10,000."""
    from shared.spec.bind import bind
    from shared.spec.models import JobSpec, _index_faults
    from shared.spec.types import INT64, Field, Schema

    columns = [Counted(f"column {i}") for i in range(40_000)]
    indexes = tuple(tuple(Counted(f"column {i * j}") for j in range(1, 33)) for i in range(1000, 1016))
    Counted.compared = 0
    assert list(_index_faults(indexes, columns)) == []
    assert Counted.compared < 20_000

    aggregates = [{"fn": "sum", "column": f"c{i}"} for i in range(400)]
    spec = JobSpec.model_validate(
        {"source": {"uris": ["upload:u"]}, "group_by": [], "aggregates": aggregates}
    )
    schema = Schema(tuple(Field(Counted(f"c{i}"), INT64) for i in reversed(range(10_000))))
    Counted.compared = 0
    assert len(bind(spec, schema).aggregates) == 400
    assert Counted.compared < 20_000


def test_what_holds_for_new_jobs_only_is_told_beside_the_digest():
    """A known job is found by its digest, whatever this server takes today."""
    body = {"source": {"uris": ["file:///elsewhere/a"]}, "group_by": [], "aggregates": [{"fn": "count"}]}
    found = check(json.dumps(body).encode(), replace(RULES, ceilings=LOW))
    assert found.digest.startswith("sha256:")
    assert found.refusal is not None
    assert [error["pointer"] for error in found.refusal["errors"]] == [
        "#/limits/max_groups",
        "#/limits/max_chunks",
        "#/limits/max_state_bytes",
    ]


def test_a_bug_in_the_process_of_a_large_spec_is_told_by_the_gateways_log(monkeypatch):
    """The gateway's log takes keys out of each line; the standard error of the process would keep them."""

    def bug(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(spec_check_process, "check", bug)
    answer = spec_check_process.answer_to(b"{}", RULES)
    with capture_logs() as lines, pytest.raises(InternalError):
        unwrapped(answer)

    [line] = lines
    assert line["event"] == "spec_check.bug"
    assert "ZeroDivisionError: a bug" in line["traceback"]
