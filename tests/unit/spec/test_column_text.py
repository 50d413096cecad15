"""The object form of a type: each option is for some types, and parts of a value cannot be noise."""

import pytest


@pytest.fixture
def types(body):
    return lambda entry, **csv: body(source={"uris": ["upload:u"], "types": {"x": entry}, "csv": csv})


ACCEPTED = [
    {"type": "date", "format": "%d/%m/%Y"},
    {"type": "timestamptz", "format": ["%a, %d %b %Y %H:%M:%S %z", "%Y%j"]},
    {"type": "decimal(18, 2)", "strip": "$ €", "decimal": ",", "thousands": ".", "negative": ["-5", "(5)"]},
    {"type": "int64", "thousands": "'", "lenient": True, "null_values": ["", "N/A"]},
    {"type": "bool", "true": ["y"], "false": ["n"]},
    {"type": "string", "trim": True, "strip": "0-."},
    {"type": "float64", "percent": True},
]
REFUSED = [
    ({"type": "int64", "format": "%d"}, "/format", "format is for columns of date, timestamp, timestamptz"),
    ({"type": "date", "percent": True}, "/percent", "percent is for columns of float64, decimal"),
    ({"type": "date", "decimal": ","}, "/decimal", "decimal is for columns of int64, float64, decimal"),
    ({"type": "string", "thousands": ","}, "/thousands", "and the type is string"),
    ({"type": "float64", "true": ["1"]}, "/true", "true is for columns of bool"),
    ({"type": "bool", "lenient": True}, "/lenient", "lenient is for columns of int64, float64, decimal"),
    ({"type": "date", "format": "%d/%m"}, "/format/0", "a date needs a year (%Y or %y)"),
    (
        {"type": "date", "format": ["%d/%m/%Y", "%x"]},
        "/format/1",
        '"%x" cannot be read; the directives are %Y',
    ),
    ({"type": "date", "format": "%d/%m/%Y%"}, "/format/0", '"%" cannot be read'),
    ({"type": "date", "format": "%d/%m/%Y %y"}, "/format/0", "%Y and %y say the same thing twice"),
    ({"type": "date", "format": "%d/%m/%Y %d"}, "/format/0", "%d and %d say the same thing twice"),
    ({"type": "timestamp", "format": "%Y-%m-%d %I:%M"}, "/format/0", "%I and %p go together"),
    ({"type": "timestamp", "format": "%Y-%m-%d %M:%M"}, "/format/0", "%M occurs twice"),
    ({"type": "timestamp", "format": "%Y-%m-%d%z"}, "/format/0", "declare timestamptz"),
    ({"type": "float64", "strip": "$5"}, "/strip", '"5" cannot be stripped'),
    ({"type": "float64", "strip": "()"}, "/strip", '"(" cannot be stripped'),
    ({"type": "float64", "strip": "."}, "/strip", "it is the decimal mark"),
    ({"type": "float64", "strip": "%", "percent": True}, "/strip", "percent needs the percent sign"),
    ({"type": "float64", "thousands": "."}, "/thousands", "set decimal to the mark that is used"),
    ({"type": "float64", "thousands": "1"}, "/thousands", "a mark is a character such as . or ,"),
    ({"type": "float64", "decimal": "-"}, "/decimal", "a mark is a character such as . or ,"),
    ({"type": "bool", "true": ["Y"], "false": ["y"]}, "/false", '"y" is a spelling of true as well'),
    ({"type": "bool", "true": ["y"], "wrong": 1}, "/wrong", "unknown key"),
]


@pytest.mark.parametrize("entry", ACCEPTED)
def test_an_option_is_accepted_for_the_types_that_it_means_something_for(accept, types, entry):
    accept(types(entry))


@pytest.mark.parametrize(("entry", "at", "told"), REFUSED)
def test_a_mistake_in_the_description_of_a_column_has_its_pointer(reject, types, entry, at, told):
    [(pointer, detail)] = reject(types(entry)).items()
    assert pointer == f"#/source/types/x{at}"
    assert told in detail


def test_the_marks_of_the_file_and_of_a_column_are_checked_together(reject, accept, types):
    entry = {"type": "float64", "thousands": ","}
    assert list(reject(types(entry, decimal=","))) == ["#/source/types/x/thousands"]
    assert list(reject(types("float64", thousands="."))) == ["#/source/csv/thousands"]
    accept(types("float64", thousands=".", decimal=","))
