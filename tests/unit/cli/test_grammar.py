"""The small words of the command line as parts of a spec."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.cli import grammar
from gristmill.cli.mistakes import Mistake
from gristmill.cli.options import Question, seconds
from gristmill.cli.question import spec_of
from shared.spec.functions import FUNCTIONS
from shared.spec.parse import parse_spec


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("country", "country"),
        (" country ", "country"),
        ("`a=b`", "a=b"),
        ("`a:1mo`", "a:1mo"),
        ("`tick``tock`", "tick`tock"),
        ("ordered:1mo", {"time_bucket": "1mo", "column": "ordered"}),
        ("month=ordered:1mo", {"time_bucket": "1mo", "column": "ordered", "as": "month"}),
        ("h=at:1h@Asia/Seoul", {"time_bucket": "1h", "column": "at", "tz": "Asia/Seoul", "as": "h"}),
        ("`x y`=`a:b`:15m", {"time_bucket": "15m", "column": "a:b", "as": "x y"}),
    ],
)
def test_a_key_is_a_column_or_a_time_bucket(text, key):
    assert grammar.by(text) == key


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("ordered:month", "ordered:1mo"),
        ("ordered:Days", "ordered:1d"),
        ("m=ordered:Months", "such as m=ordered:1mo. "),
        ("where=country", "--derive 'where=country' --by where"),
        ("user:id", "'`user:id`'"),
        ("", "COLUMN"),
    ],
)
def test_a_wrong_key_is_shown_with_its_cure(text, cure):
    with pytest.raises(Mistake) as caught:
        grammar.by(text)
    assert repr(text) in str(caught.value)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("text", "aggregate"),
    [
        ("count", {"fn": "count"}),
        ("n=count", {"fn": "count", "as": "n"}),
        ("count:price", {"fn": "count", "column": "price"}),
        ("revenue=sum:price", {"fn": "sum", "column": "price", "as": "revenue"}),
        ("sum:`a:b`", {"fn": "sum", "column": "a:b"}),
        ("std:price:0", {"fn": "std", "column": "price", "ddof": 0}),
        ("p=quantile:price:0.9", {"fn": "quantile", "column": "price", "q": 0.9, "as": "p"}),
        ("quantile:price:0.5,0.9", {"fn": "quantile", "column": "price", "q": [0.5, 0.9]}),
        ("top:price:3", {"fn": "top", "column": "price", "k": 3}),
        ("arg_max:name:price", {"fn": "arg_max", "column": "name", "by": "price"}),
        ("corr:price:fee", {"fn": "corr", "y": "price", "x": "fee"}),
        (
            "paid=sum:price where status == 'paid' and x != 'a=b'",
            {"fn": "sum", "column": "price", "where": "status == 'paid' and x != 'a=b'", "as": "paid"},
        ),
        ("`a where b`=count", {"fn": "count", "as": "a where b"}),
        ("brand_new:price", {"fn": "brand_new", "column": "price"}),
    ],
)
def test_an_aggregate_has_a_function_a_column_and_parameters(text, aggregate):
    assert grammar.aggregate(text) == aggregate


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("revenue=price:sum", "write 'revenue=sum:price'"),
        ("revenue=sum(price)", "write 'revenue=sum:price'"),
        ("count(*)", "write 'count'"),
        ("quantile(price, 0.9)", "write 'quantile:price:0.9'"),
        ("sum:a:b", "'`a:b`'"),
        ("top:price:many", "'many'"),
        ("x=", "NAME=FUNCTION:COLUMN"),
    ],
)
def test_a_wrong_aggregate_is_shown_with_its_cure(text, cure):
    with pytest.raises(Mistake) as caught:
        grammar.aggregate(text)
    assert repr(text) in str(caught.value)
    assert cure in str(caught.value)


def test_every_function_of_the_service_has_its_parameters_in_order():
    assert {name: tuple(function.parameters) for name, function in FUNCTIONS.items()} == grammar.PARAMETERS


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("price=decimal(18,2)", ("price", "decimal(18,2)")),
        ("day=date:%d/%m/%Y", ("day", {"type": "date", "format": ["%d/%m/%Y"]})),
        ("day=date:%Y-%m-%d|%H:%M", ("day", {"type": "date", "format": ["%Y-%m-%d", "%H:%M"]})),
        ('p={"type": "int64", "thousands": ","}', ("p", {"type": "int64", "thousands": ","})),
        ("`a=b`=string", ("a=b", "string")),
    ],
)
def test_a_type_is_a_name_with_patterns_or_an_entry_in_json(text, entry):
    assert grammar.column_type(text) == entry


@pytest.mark.parametrize("text", ["price", "price=", 'price={"type"'])
def test_a_wrong_type_is_shown(text):
    with pytest.raises(Mistake, match="--type"):
        grammar.column_type(text)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("csv.skip_rows=1", ["source", "csv", "skip_rows"], 1),
        ("source.csv.delimiter=;", ["source", "csv", "delimiter"], ";"),
        ('csv.null_values=["NA"]', ["source", "csv", "null_values"], ["NA"]),
        ("options.deadline=1h", ["options", "deadline"], "1h"),
        ("labels.team=a=b", ["labels", "team"], "a=b"),
    ],
)
def test_a_setting_is_json_or_text(text, path, value):
    assert grammar.setting(text) == (path, value)


def test_the_options_make_a_spec_that_the_service_takes():
    question = Question(
        by=["country", "month=ordered:1mo"],
        agg=["revenue=sum:net", "n=count where status == 'paid'"],
        where="price > 0",
        derive=["net=price - fee"],
        compute=["each=revenue / n"],
        having="n > 1",
        type=["price=decimal(18,2)"],
        types=['{"ordered": "date"}'],
        on_bad_row="skip",
        name="sales",
        set=["csv.skip_rows=1", "options.priority=9"],
    )
    spec = spec_of(question)
    spec["source"]["uris"] = ["upload:upl_1"]

    parsed = parse_spec(json.dumps(spec).encode()).model_dump(by_alias=True, mode="json")

    assert parsed["group_by"] == [
        "country",
        {"time_bucket": "1mo", "column": "ordered", "as": "month", "tz": None},
    ]
    assert [one["as"] for one in parsed["aggregates"]] == ["revenue", "n"]
    assert parsed["source"]["types"] == {"ordered": "date", "price": "decimal(18,2)"}
    assert (parsed["options"]["priority"], parsed["options"]["on_bad_row"]) == (9, "skip")
    assert parsed["output"]["name"] == "sales"


def test_options_change_the_spec_of_a_file(tmp_path):
    file = tmp_path / "job.json"
    file.write_text('{"group_by": ["a"], "aggregates": [{"fn": "count"}], "options": {"priority": 1}}')

    spec = spec_of(Question(spec=str(file), by=["b"], set=["options.priority=2", "options.max_bad_rows=3"]))

    assert spec == {
        "group_by": ["b"],
        "aggregates": [{"fn": "count"}],
        "options": {"priority": 2, "max_bad_rows": 3},
    }


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question(spec="/no/such.json"), ["--spec /no/such.json", "No such file"]),
        (Question(types=["[1]"]), ["--types", "object", "[1]"]),
        (Question(types=['{"a": }']), ["--types", "character 7"]),
        (Question(set=["where.x=1"], where="a > 1"), ["--set 'where.x=1'", "where"]),
        (Question(set=["priority"]), ["--set 'priority'", "KEY=VALUE"]),
        (Question(derive=["net"]), ["--derive 'net'", "NAME=EXPRESSION"]),
    ],
)
def test_a_wrong_option_is_shown_with_its_place(question, words):
    with pytest.raises(Mistake) as caught:
        spec_of(question)
    assert [word for word in words if word not in str(caught.value)] == []


@given(st.text(min_size=1).filter(lambda text: text.strip("` ") == text))
def test_any_name_can_stand_in_backticks(text):
    quoted = "`" + text.replace("`", "``") + "`"

    assert grammar.by(quoted) == text
    assert grammar.aggregate(f"{quoted}=sum:{quoted}") == {"fn": "sum", "column": text, "as": text}
    assert grammar.by(f"{quoted}={quoted}:1d") == {"time_bucket": "1d", "column": text, "as": text}


@pytest.mark.parametrize(
    ("text", "number"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5", 1.5), ("0", 0)]
)
def test_a_time_has_a_unit(text, number):
    assert seconds(text) == number


@pytest.mark.parametrize("text", ["", "ten", "5x", "-1s", "nan", "inf"])
def test_a_wrong_time_is_shown(text):
    with pytest.raises(Mistake, match="--timeout"):
        seconds(text)
