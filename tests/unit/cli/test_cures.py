"""Problems in the words of the command line."""

import json
import shlex

from gristmill.cli import cures
from gristmill.cli.options import Question

PRICE = {"price": {"type": "decimal(18,2)", "strip": "$"}}
DAY = {"day": {"type": "date", "format": ["%d/%m/%Y"], "null_values": ["it's }"]}}


def problem(*errors, code="type_mismatch", detail=None):
    return {"code": code, "detail": detail or errors[0]["detail"], "errors": list(errors)}


def at(pointer, detail="wrong"):
    return {"pointer": pointer, "detail": detail}


def test_a_place_of_the_spec_is_shown_as_the_option_that_wrote_it():
    question = Question(by=["country", "m=day:1mo"], agg=["n=count"], derive=["a=b"])
    places = {
        "#/group_by/1/column": "--by m=day:1mo",
        "#/aggregates/0/fn": "--agg n=count",
        "#/aggregates/7": "--agg",
        "#/derive/0/expr": "--derive a=b",
        "#/where": "--where",
        "#/source/types/a~1b": "--type a/b",
        "#/source/uris/3": "FILES",
        "#/options/on_bad_row": "--on-bad-row",
        "#/options/priority": "options.priority",
        "#/": "",
    }

    assert {pointer: cures.option_of(pointer, question) for pointer in places} == places
    assert cures.option_of("#/group_by/1/column", None) == "--by"


def test_the_proposed_types_are_one_option_that_can_be_pasted():
    told = cures.lines(
        problem(
            at("#/aggregates/0", f"a number is needed; write {json.dumps(PRICE)} into source.types; or else"),
            at("#/group_by/0", f"write {json.dumps(DAY)} into source.types, if 'it's }}' stands for null"),
        )
    )

    (cure,) = [line for line in told if "--types" in line]
    assert cure.startswith("On the command line, if 'it's }' stands for null: --types ")
    cure = cure.partition("stands for null: ")[2]
    assert json.loads(shlex.split(cure)[shlex.split(cure).index("--types") + 1]) == PRICE | DAY


def test_where_a_reader_has_to_choose_no_type_is_proposed():
    text = f"write {json.dumps(PRICE)} into source.types if it is money, or {json.dumps(DAY)} if it is a day"

    assert not [line for line in cures.lines(problem(at("#/aggregates/0", text))) if "--types" in line]


def test_keys_of_the_spec_are_named_as_options():
    text = "set csv.skip_rows to 3, or options.on_bad_row, or limits.max_groups"

    told = cures.lines(problem(at("#/source", text)))

    assert told[-3:] == [
        "On the command line: --set csv.skip_rows=3",
        "On the command line: options.on_bad_row is --on-bad-row …",
        "On the command line: limits.max_groups is --set limits.max_groups=…",
    ]


def test_a_message_is_told_once():
    told = cures.lines(problem(at("#/where", "no such column"), detail="#/where: no such column"))
    assert told == ["--where: no such column"]

    row = {"uri": "file:///a.csv", "line": 3, "detail": "'x' is no int64"}
    detail = "file:///a.csv: line 3: 'x' is no int64; set options.on_bad_row to \"quarantine\""
    told = cures.lines(problem(row, code="bad_row", detail=detail))
    assert told[0] == detail
    assert len(told) == 2
    assert "--on-bad-row quarantine" in told[1]


def test_a_value_that_a_message_names_is_in_the_option():
    texts = {
        'set csv.delimiter to ";" or to ","': ["csv.delimiter is --set csv.delimiter=…"],
        'set csv.delimiter to ";": it fits': ["--set csv.delimiter=';'"],
        "set source.xlsx.sheet to 2": ["--set source.xlsx.sheet=2"],
        "set csv.trim to true: the header has white space": ["--set csv.trim=true"],
        'set options.on_bad_row to "quarantine" as well': ["--on-bad-row quarantine"],
        'set csv.encoding to the encoding, often "windows-1252"': ["csv.encoding is --set csv.encoding=…"],
    }
    for text, told in texts.items():
        lines = cures.lines(problem(at("#/source", text)))[1:]
        assert lines == [f"On the command line: {one}" for one in told]
