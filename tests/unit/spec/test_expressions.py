"""Expressions before any data: what is read, which type each has, and what the messages say."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from shared.spec.expressions import ExpressionError, check, names, parse
from shared.spec.expressions.functions import FUNCTIONS, SYNONYMS
from shared.spec.expressions.patterns import rewritten
from shared.spec.expressions.tree import Call, Column, Comparison, Literal
from shared.spec.functions import FUNCTIONS as AGGREGATES
from shared.spec.types import parse_result_type, parse_type

PAGE = (Path(__file__).parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")
TYPES = {
    name: parse_type(kind)
    for name, kind in {
        "a": "int64",
        "b": "int64",
        "x": "float64",
        "d": "decimal(18,2)",
        "wide": "decimal(38,30)",
        "s": "string",
        "t": "string",
        "ok": "bool",
        "day": "date",
        "ts": "timestamp",
        "tz": "timestamptz",
    }.items()
}


def type_of(text, zone="UTC"):
    return str(check(parse(text), TYPES, zone).type)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("`odd name` + a", Call("+", (Column("odd name", 1), Column("a", 14)), 1)),
        ("`tick``s`", Column("tick`s", 1)),
        ("ﬁne + x²", Call("+", (Column("ﬁne", 1), Column("x²", 7)), 1)),
        ("'it''s'", Literal("it's", 1)),
        (r"'a\b\n'", Literal(r"a\b\n", 1)),
        ('"x"', Literal("x", 1)),
        ("'\n'", Literal("\n", 1)),
        ("1.50", Literal(Decimal("1.50"), 1)),
        ("-5", Literal(-5, 1)),
        ("1e3", Literal(1000.0, 1)),
        ("- 9223372036854775808", Literal(-(2**63), 1)),
        ("-a ** 2", Call("negate", (Call("**", (Column("a", 2), Literal(2, 7)), 2),), 1)),
        ("a\n < 5", Comparison(("<",), (Column("a", 1), Literal(5, 6)), 1)),
        ("s in ('x')", Call("in", (Column("s", 1), Literal("x", 7)), 1)),
        ("'é' == s", Comparison(("==",), (Literal("é", 1), Column("s", 8)), 1)),
    ],
)
def test_a_text_has_the_tree(text, tree):
    assert parse(text) == tree


def test_names_come_in_the_order_of_first_use():
    assert names(parse("if_else(b > 1, `c d`, a) + b < a < e and f in (1, 2)")) == ("b", "c d", "a", "e", "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + avg(a)", 'column 5: unknown function "avg"; did you mean "mean"? Aggregates are listed'),
        (
            "sum(a)",
            'column 1: unknown function "sum". Aggregates are listed in aggregates; compute and having',
        ),
        ("stddev(a)", 'column 1: unknown function "stddev"; did you mean "std"?'),
        ("min(a, b)", 'column 1: unknown function "min"; did you mean "least"?'),
        ("len(s)", 'column 1: unknown function "len"; did you mean "length"?'),
        ("isnull(a)", 'column 1: unknown function "isnull"; did you mean "is_null"?'),
        ("notna(a)", 'column 1: unknown function "notna"; did you mean not is_null(x)?'),
        ("lowr(s)", 'column 1: unknown function "lowr"; did you mean "lower"?'),
        ("LOWER(s)", 'column 1: unknown function "LOWER"; did you mean "lower"?'),
        ("NOT(ok)", 'column 1: unknown function "NOT"; did you mean not x?'),
        ("frobnicate(s)", 'column 1: unknown function "frobnicate"; there are coalesce, nullif'),
        ("a = 1", 'column 3: "=" is no operator; did you mean ==?'),
        ("a <> 1", 'column 3: "<>" is no operator; did you mean !=?'),
        ("ok & ok", 'column 4: "&" is no operator; did you mean and?'),
        ("ok | ok", 'column 4: "|" is no operator; did you mean or?'),
        ("~ok", 'column 1: "~" is no operator; did you mean not?'),
        ("s || t", 'column 3: "||" is no operator; did you mean concat(a, b) or or?'),
        ("a ^ 2", 'column 3: "^" is no operator; did you mean **?'),
        ("a::int", "column 2: \"::\" is no operator; did you mean cast(value, 'type')?"),
        ("ok AND ok", "column 4: AND is no operator; did you mean and?"),
        ("s LIKE 'x'", "column 3: LIKE is no operator; did you mean starts_with, contains or matches?"),
        ("a between 1 and 2", "column 3: between is no operator; did you mean low <= x <= high?"),
        ("case when a then b", "column 1: case is no operator; did you mean if_else(condition, a, b)?"),
        ("a IS NULL", "column 3: IS is no operator; did you mean is_null(x)?"),
        ("a == NULL", "column 6: did you mean None, or is_null(x)?"),
        ("a == None", "column 1: a comparison with None is never true; did you mean is_null(x)?"),
        ("a is not None", "column 1: a comparison with None is never true; did you mean not is_null(x)?"),
        ("a is 5", "column 1: is compares nothing here; did you mean ==?"),
        ("true", "column 1: did you mean True? A column of the name true stands in backticks"),
        (
            "a if ok else b",
            "column 1: this kind of expression is not supported; did you mean if_else(condition",
        ),
        ("s.str.lower()", "column 1: values have no methods such as .lower(); did you mean lower(x)?"),
        ("s.isna()", "column 1: values have no methods such as .isna(); did you mean is_null(x)?"),
        ("user.id", "column 1: a name with a point stands in backticks: `user.id`"),
        ("class + 1", "column 1: a column of the name class stands in backticks: `class`"),
        (
            "s[0]",
            "column 1: this kind of expression is not supported; did you mean substr(text, start, length)?",
        ),
        ("s[0:2]", 'column 4: ":" is no operator; did you mean substr(text, start, length)?'),
        ("a b", 'column 3: "b" cannot stand here'),
        ("a +", "column 4: the expression ends too early: an operand is missing"),
        ("  ", "column 1: the expression is empty"),
        ("lower(s", "column 6: this ( is never closed"),
        ("a)", "column 2: ) closes no ("),
        ("s == 'x", "column 6: this ' is never closed"),
        ("s == 'x'y", 'column 9: "y" directly follows "\'x\'"; an operator is missing'),
        ("a # b", 'column 3: "#" has no meaning in an expression'),
        ("007", "column 1: \"007\" has leading zeros; write 7, or '007' for a text"),
        ("1_000", 'column 1: "1_000" is no number;'),
        (
            "1" * 39,
            f'column 1: "{"1" * 39}" has more than 38 digits; with an exponent (e0) it is a double',
        ),
        ("1e999", 'column 1: "1e999" is beyond the largest double'),
        ("a ** 9", "column 6: the power behind ** is a number from 2 to 8"),
        ("a ** b", "column 6: the power behind ** is a number from 2 to 8"),
        (
            "\"status\" == 'paid'",
            'column 1: "status" is compared with a literal; a column\'s name has no quotes',
        ),
        ("a in b", "column 6: a list behind in has only literals; compare others with =="),
        ("a in ()", "column 6: the list behind in is empty"),
        ("1 < a in (3)", "column 5: in does not chain"),
        ("lower(**s)", "column 1: lower takes its arguments by position"),
        ("[a]", "column 1: this kind of expression is not supported; a list stands only behind in"),
        ("(" * 101 + "1" + ")" * 101, "column 101: more than 100 brackets are open"),
        ("1" + " + 1" * 200, "column 1: operators and functions are nested more than 100 deep"),
    ],
)
def test_a_mistake_of_the_text_is_told_with_its_column_and_a_cure(text, message):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "lower(a)",
            "column 7: lower needs a string, and \"a\" is int64; cast(a, 'string') makes a text of it",
        ),
        ("s + 1", "column 1: + does not join texts; did you mean concat(a, b)?"),
        (
            "s * 2",
            "column 1: * needs a number, and \"s\" is string; cast(s, 'float64') or cast(s, 'decimal(18,2)')",
        ),
        ("day - day", "column 1: - takes no times; did you mean date_diff('day', start, end)?"),
        ("a and ok", 'column 1: and needs a bool, and "a" is int64; compare it, as in a != 0'),
        (
            "hour(day)",
            "column 6: hour needs a timestamp, and \"day\" is date; cast(day, 'timestamp') makes one of it",
        ),
        (
            "year(s)",
            "column 6: year needs a date or timestamp, and \"s\" is string; cast(s, 'timestamp') or strptime",
        ),
        ("s == 5", "column 1: == finds no common type: \"s\" is string, and 5 is int64; write '5' in quotes"),
        (
            "a == '5'",
            'column 1: == finds no common type: "a" is int64, and "5" is string; write 5 without quotes',
        ),
        ("ok == 1", 'column 1: == finds no common type: "ok" is bool, and 1 is int64; a bool stands alone'),
        (
            "ts < tz",
            'column 1: < finds no common type: "ts" is timestamp, and "tz" is timestamptz',
        ),
        (
            "a > 'price'",
            'column 1: > finds no common type: "a" is int64, and "price" is string; a column is named price',
        ),
        ("coalesce(wide, a)", "column 10: coalesce finds no common type"),
        (
            "wide * wide",
            "column 1: the product of decimal(38,30) and decimal(38,30) has 60 decimal digits, and 38",
        ),
        ("day >= '2024-02-30'", 'column 8: "2024-02-30" is no date; write YYYY-MM-DD'),
        ("ts >= '1/2/2024'", 'column 7: "1/2/2024" is no timestamp; write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS'),
        ("tz == '2024-01-01Z'", 'column 7: "2024-01-01Z" is no timestamptz'),
        ("None", "column 1: None alone has no type; write cast(None, 'int64'), with its type"),
        ("coalesce(None, None)", "column 10: coalesce has None only"),
        ("round(a, b)", "column 10: digits of round(number, [digits]) needs a literal; did you mean 'b'?"),
        ("round(a, 1, 2)", "column 1: round(number, [digits]) does not take 3 arguments"),
        (
            "substr(s, 0)",
            "column 11: start of substr(text, start, [length]) needs a literal whole number from 1",
        ),
        ("cast(a, 'int')", "column 9: type of cast(value, type) needs one of bool, int64"),
        ("cast(a, int64)", "column 9: type of cast(value, type) needs a literal; did you mean 'int64'?"),
        (
            "cast(a, 'bool')",
            'column 1: "a" is int64, and can be cast to decimal, float64, string, but not to bool',
        ),
        (
            "date_trunc('months', ts)",
            'column 12: unit of date_trunc(unit, time) needs one of "second", "minute"',
        ),
        (
            "date_trunc('hour', day)",
            "column 20: a date has no hour; did you mean 'day', or cast(x, 'timestamp')?",
        ),
        (
            "matches(s, '(a')",
            "column 12: pattern of matches(text, pattern) needs a pattern that closes every bracket",
        ),
        (
            "matches(s, '(?=a)')",
            "column 12: pattern of matches(text, pattern) needs a pattern of RE2, which has no look",
        ),
        (
            r"matches(s, '(a)\1')",
            "column 12: pattern of matches(text, pattern) needs a pattern of RE2, which has no back",
        ),
        ("replace(s, '', 'x')", "column 12: old of replace(text, old, new) needs a text that is not empty"),
    ],
)
def test_a_mistake_of_the_types_is_told_with_its_column_and_a_cure(text, message):
    with pytest.raises(ExpressionError) as caught:
        type_of(text)
    assert str(caught.value).startswith(message)


ADVISED = {
    "`odd name` * 2": ("cast(`odd name`, 'float64')", "cast(`odd name`, 'float64') * 2"),
    "lower(a)": ("cast(a, 'string')", "lower(cast(a, 'string'))"),
    "a and ok": ("a != 0", "a != 0 and ok"),
    "s and ok": ("s == 'yes'", "s == 'yes' and ok"),
    "hour(day)": ("cast(day, 'timestamp')", "hour(cast(day, 'timestamp'))"),
    "year(s)": ("strptime(s, '%d/%m/%Y')", "year(strptime(s, '%d/%m/%Y'))"),
    "s == 5": ("'5'", "s == '5'"),
    "a == s": ("cast(s, 'float64')", "a == cast(s, 'float64')"),
    "tz < ts": ("cast(ts, 'timestamptz')", "tz < cast(ts, 'timestamptz')"),
    "ok == 0": ("not ok", "not ok"),
}


@pytest.mark.parametrize("text", ADVISED)
def test_the_advice_of_a_message_is_an_expression_that_works(text):
    types = TYPES | {"odd name": parse_type("string")}
    with pytest.raises(ExpressionError) as caught:
        check(parse(text), types)
    advised, cured = ADVISED[text]
    assert advised in str(caught.value)
    check(parse(cured), types)


def test_an_array_has_no_place_in_an_expression():
    with pytest.raises(
        ExpressionError, match=r'column 9: "top" is int64\[\], and expressions take no arrays'
    ):
        check(parse("is_null(top)"), {"top": parse_result_type("int64[]")})


def test_a_literal_time_that_clocks_skip_or_show_twice_needs_an_offset():
    for text, often in (("2024-03-31 02:30", "never"), ("2024-10-27 02:30", "twice")):
        with pytest.raises(
            ExpressionError, match=f"clocks in Europe/Berlin show .* {often}; write an offset"
        ):
            type_of(f"tz < '{text}'", "Europe/Berlin")
        assert type_of(f"tz < '{text}+01:00'", "Europe/Berlin") == "bool"
        assert type_of(f"tz < '{text}'") == "bool"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a + b", "int64"),
        ("a / b", "float64"),
        ("a + x", "float64"),
        ("d + x", "float64"),
        ("d + d", "decimal(19,2)"),
        ("d + a", "decimal(22,2)"),
        ("d + 1", "decimal(19,2)"),
        ("d * d", "decimal(36,4)"),
        ("d * 1.05", "decimal(21,4)"),
        ("a * 1.5", "decimal(21,1)"),
        ("x * 1.5", "float64"),
        ("1.5", "decimal(2,1)"),
        ("0.05", "decimal(2,2)"),
        ("1e0", "float64"),
        ("9223372036854775808", "decimal(19,0)"),
        ("wide + wide", "decimal(38,30)"),
        ("d / d", "float64"),
        ("d // a", "decimal(17,0)"),
        ("d % 7", "decimal(3,2)"),
        ("d ** 2", "decimal(36,4)"),
        ("-d", "decimal(18,2)"),
        ("round(d)", "decimal(17,0)"),
        ("round(d, 5)", "decimal(18,2)"),
        ("round(x)", "float64"),
        ("floor(a)", "int64"),
        ("sqrt(d)", "float64"),
        ("if_else(ok, None, 1)", "int64"),
        ("coalesce(d, a)", "decimal(21,2)"),
        ("coalesce(a, 0.5)", "decimal(20,1)"),
        ("nullif(a, 0.0)", "int64"),
        ("coalesce(day, '1970-01-01')", "date"),
        ("least(day, ts)", "timestamp"),
        ("a in (1, 2.0, None)", "bool"),
        ("date_trunc('month', tz)", "date"),
        ("date_trunc('hour', tz)", "timestamptz"),
        ("date_diff('day', day, ts)", "int64"),
        ("strptime(s, '%d/%m/%Y')", "timestamp"),
        ("strptime(s, '%d/%m/%Y %H:%M %z')", "timestamptz"),
        ("cast(None, 'decimal(5,1)')", "decimal(5,1)"),
        ("try_cast(s, 'timestamptz')", "timestamptz"),
    ],
)
def test_an_expression_has_the_type(text, kind):
    assert type_of(text) == kind


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("a", "(?P<g>a)"),
        ("(a)(b)", "(?P<g>a)(?:b)"),
        ("(?:x)(?P<year>[0-9]+)", "(?:x)(?P<g>[0-9]+)"),
        (r"\((a)[(]\Q(\E", r"\((?P<g>a)[(]\Q(\E"),
        ("(?i)[]()](a|b)", "(?i)[]()](?P<g>a|b)"),
    ],
)
def test_the_first_group_of_a_pattern_is_named(pattern, named):
    assert rewritten(pattern) == named


@pytest.mark.parametrize("pattern", ["(", ")", "[a", "a\\", "(?<=a)b", "(?!a)", r"(a)\1"])
def test_a_pattern_that_cannot_be_is_refused(pattern):
    with pytest.raises(ValueError, match="a pattern"):
        rewritten(pattern)


def test_a_name_of_another_tool_leads_to_a_function():
    assert set(SYNONYMS.values()) <= set(FUNCTIONS)
    assert not set(SYNONYMS) & set(FUNCTIONS)
    assert not set(FUNCTIONS) & set(AGGREGATES), "a name means one thing"


def test_the_page_has_every_function_with_its_signature_and_summary():
    for function in FUNCTIONS.values():
        assert f"| `{function.signature}` | {function.summary} |" in PAGE, function.name


def test_the_examples_of_the_page_are_expressions():
    section = PAGE.split("## Expressions")[1].split("\n## ")[0]
    examples = re.findall(r"^    (\S.*)$", section, re.MULTILINE)
    assert len(examples) > 5
    for example in examples:
        parse(example)
