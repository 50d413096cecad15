"""Cuts guessed from the bytes behind them: proven or refuted by the reader."""

from contextlib import contextmanager
from unittest.mock import patch

import pytest

from shared.errors import CutsRefuted
from tests.support.child_tasks import chunk_task, plan_task
from tests.support.datasets import opened, read, source, stored
from worker_service.child import tasks
from worker_service.messages import Failed, Widened
from worker_service.readers import plan as plan_dataset
from worker_service.readers.csv import cuts, plan

HEAD = b"k,v\n"
ROW = b'"a","1"\n'
TRAP = b'"' + b"b,2\n" * 200 + b'","1"\n'
"""A record of 806 bytes, in which there are lines as of records, and no quote nearby to tell."""


@contextmanager
def guessing(window=64, samples=1):
    with (
        patch.multiple(cuts, GUESS_BYTES=2, SAMPLE_BYTES=100, LOOKS=(window, 2 * window)),
        patch.object(plan, "_SAMPLES", samples),
    ):
        yield


def ranges(planned):
    return [(e.start, e.end) for chunk in planned.extents for e in chunk]


def guesses(planned):
    return [e.guesses for chunk in planned.extents for e in chunk]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (HEAD + b"a,1\n" * 300, {}),
        (HEAD + b"a,1\r\n" * 300, {}),
        (HEAD + ROW * 200, {}),
        (HEAD + b'"x ""5"" y,\n","\n"\n' * 90, {}),
        (HEAD + b"a\\\nb,1\n" * 200, {"escape": "\\"}),
        (HEAD + b'a,1\n# x\n"b",2\n' * 200, {"comment": "#"}),
        (HEAD + b'5",1\n' * 300, {"quote": None}),
    ],
)
def test_good_guesses_are_the_proven_cuts(data, options):
    spec = source({"k": "string", "v": "string"}, **options)
    with opened(data) as files, guessing(samples=5):
        guessed, proven = plan_dataset(files, spec, 250, guess=True), plan_dataset(files, spec, 250)
        assert ranges(guessed) == ranges(proven)
        assert guessed.schema == proven.schema
        assert all(found is not None for found in guesses(guessed))
        assert set(guesses(proven)) == {None}
        [*inner, _] = guessed.extents
        assert all(extent.guesses[-1].start == extent.end for [extent] in inner)
        for [extent] in guessed.extents:
            list(read(files[0], extent, guessed.source, guessed.schema, ["v"], 100))


def test_only_what_is_far_apart_is_guessed():
    for lines, chunk_bytes, guessed in (
        (1 << 22, 1 << 20, True),
        (1 << 22, (1 << 20) - 1, False),
        (1 << 21, 1 << 20, False),
    ):
        with opened(HEAD + b"a,1\n" * lines) as files:
            found = guesses(plan_dataset(files, source(), chunk_bytes, guess=True))
        assert {one is not None for one in found} == {guessed}


def test_stray_quotes_and_lines_longer_than_a_look_are_not_guessed_about():
    for data in (HEAD + b'5",1\n' * 300, HEAD + b"a" * 500 + b",1\n" + ROW * 90):
        with opened(data) as files, guessing():
            assert set(guesses(plan_dataset(files, source(), 200, guess=True))) == {None}


def trapped(chunk_bytes=1000):
    """A file whose guessed cut lies within a quoted field, and the extents of that guess."""
    data = HEAD + ROW * 100 + TRAP + ROW * 100
    with opened(data) as [file], guessing():
        planned = plan_dataset([file], source(), chunk_bytes, guess=True)
    return data, planned.schema, [extent for [extent] in planned.extents]


def test_a_wrong_cut_is_refuted_by_the_chunk_that_ends_there_and_by_no_other_before_it():
    data, schema, extents = trapped(chunk_bytes=500)
    wrong = next(extent.end for extent in extents if data.startswith(b"b,2\n", extent.end))
    with opened(data) as [file]:
        for extent in extents:
            if extent.end < wrong:
                list(read(file, extent, source(delimiter=","), schema, ["k"], 100))
        [ending] = [extent for extent in extents if extent.end == wrong]
        with pytest.raises(
            CutsRefuted,
            match=f"^file:///data/t0: the record at or after byte .* does not start at byte {wrong}, "
            "as it was guessed$",
        ):
            list(read(file, ending, source(delimiter=","), schema, ["k"], 100))


def test_where_a_sample_was_taken_is_proven_too():
    data = HEAD + ROW * 100 + TRAP + ROW * 100
    with opened(data) as [file], guessing(samples=8):
        planned = plan_dataset([file], source(), 1 << 20, guess=True)
        [[extent]] = planned.extents
        assert any(data[at:].startswith(b"b,2\n") for at in (guess.start for guess in extent.guesses))
        with pytest.raises(CutsRefuted):
            list(read(file, extent, source(delimiter=","), planned.schema, ["k"], 1 << 20))


SPEC = {
    "source": {"uris": ["file:///data/t0"]},
    "group_by": ["k"],
    "aggregates": [{"fn": "count", "as": "n"}, {"fn": "sum", "column": "v", "as": "s"}],
}


def asked(path, chunk_bytes, *, prove):
    return tasks.run(plan_task(SPEC, path, chunk_bytes=chunk_bytes, prove=prove))[0]


def answers(planned):
    for no, _ in enumerate(planned.chunks()):
        yield tasks.run(chunk_task(SPEC, planned, no, batch_bytes=100, partial_bytes=100))[0]


def guessed_cuts(planned):
    return any(cut.payload.guessed for cut in planned.chunks())


def problems(planned):
    return [found.problem for found in answers(planned) if isinstance(found, Failed)]


@pytest.mark.parametrize("line", [b"b,2\n", b"b,x\n", b"b,2,c\n"])
def test_what_a_wrong_guess_leads_to_is_refuted_or_an_error_and_not_there_once_cuts_are_proven(line):
    """Chunks that begin among the trap's lines find text where a number should be, or too many fields."""
    data = HEAD + ROW * 100 + TRAP.replace(b"b,2\n", line) + ROW * 100
    with stored(data) as path, guessing():
        guessed, proven = asked(path, 500, prove=False), asked(path, 500, prove=True)
        assert (guessed_cuts(guessed), guessed_cuts(proven)) == (True, False)
        assert "cuts_refuted" in {found["code"] for found in problems(guessed)}
        assert problems(proven) == []


def test_a_sample_from_the_middle_of_a_record_gives_a_schema_that_is_refuted():
    """As texts the values are too many; as the numbers that they are, one.

    A chunk finds the one or the other first; after both the job is planned again, with proof.
    """
    values = b"".join(b'1,"1.%s","x"\n' % (b"0" * (i % 100)) for i in range(200))
    data = b"k,v,t\n" + values + b'2,"1","' + b"b,b,2\n" * 200 + b'"\n' + b'1,"1","x"\n' * 100
    spec = SPEC | {"aggregates": [{"fn": "nunique", "column": "v"}], "limits": {"max_state_bytes": 4000}}
    with stored(data) as path, guessing(samples=16), patch.dict(SPEC, spec):
        guessed, proven = asked(path, 12000, prove=False), asked(path, 12000, prove=True)
        types = [
            {column.name: column.type for column in planned.plan.schema}["v"] for planned in (guessed, proven)
        ]
        assert types == ["string", "float64"]
        assert problems(guessed)[0]["code"] in {"state_too_large", "cuts_refuted"}
        assert next(iter(answers(proven))).rows.read > 0


def test_what_a_chunk_finds_wrong_is_told_alike_whether_its_cuts_were_guessed_or_proven():
    data = HEAD + ROW * 100 + b'"a","1","2"\n' + ROW * 100
    with stored(data) as path, guessing():
        [guessed] = problems(asked(path, 500, prove=False))
        [proven] = problems(asked(path, 500, prove=True))
    assert guessed == proven
    assert guessed["code"] == "bad_row"
    assert "byte 804, line 102: 3 fields instead of 2" in guessed["detail"]


def test_a_type_that_is_too_narrow_is_widened_alike():
    data = HEAD + ROW * 100 + b'"a","1.5"\n' + ROW * 100
    with stored(data) as path, guessing():
        found = [
            [each.types for each in answers(asked(path, 500, prove=prove)) if isinstance(each, Widened)]
            for prove in (False, True)
        ]
    assert found[0] == found[1]
    assert {"v": "float64"} in found[0]


@pytest.mark.parametrize(
    "body", [ROW * 100 + b'"a"b,1\n', ROW * 100 + b'"a,1\n', b"a,x\n" * 100, b"a,1\n" * 100 + b"a,1,2\n"]
)
def test_an_error_of_the_plan_is_that_of_the_proven_one(body):
    with stored(HEAD + body) as path, guessing(samples=8):
        guessed, proven = asked(path, 500, prove=False), asked(path, 500, prove=True)
        assert isinstance(proven, Failed) or problems(guessed) == problems(proven) != []
        if isinstance(guessed, Failed):
            assert guessed == proven
