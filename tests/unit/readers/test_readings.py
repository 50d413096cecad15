"""Advice for texts without a description: it is followed to the letter, and then every text has to fit."""

import json
import re

import pyarrow as pa
import pytest

from shared.spec.source import SourceSpec
from shared.spec.types import STRING, TIMESTAMPTZ, Field, parse_type
from tests.support.expressions import evaluated
from worker_service.readers.literals import converted, cure, reading, refusal

MINUS = "\N{MINUS SIGN}"


def spec(types=None, **csv):
    return SourceSpec.model_validate(
        {"uris": ["file:///data/t0"], "csv": csv, "types": types or {}, "timezone": "Europe/Amsterdam"}
    )


def entries(advice):
    """Every entry of `types` that *advice* proposes."""
    return [json.loads(found)["x"] for found in re.findall(r'\{"x": \{.*?\}\}', advice)]


def fits(texts, entry, **csv):
    kind = parse_type(entry["type"])
    found = converted(pa.array(texts), Field("x", kind, declared=True), spec({"x": entry}, **csv))
    return found.misfits is None


AMOUNTS = [
    (["$5", "$1.23"], {"strip": "$"}),
    (["$1.23", "(33.52)", "($182.77)", "12.50-", f"{MINUS}5.00", "+1500"], {"strip": "$", "lenient": True}),
    (["1.234,56", "-9,13", "0,5", "12"], {"decimal": ",", "thousands": "."}),
    (["1,234.50", "99.5", "7"], {"thousands": ","}),
    (["1.2 ", " 2.1", " 1 ", "+1.2"], {"trim": True, "lenient": True}),
    (["1,5", "2,25"], {"decimal": ","}),
    (["1.234.567", "1.234"], {"type": "int64", "decimal": ",", "thousands": "."}),
    (["1 234,5", "12"], {"decimal": ",", "thousands": " "}),
    (["(5)", "7"], {"type": "int64", "negative": ["-5", "(5)"]}),
    (["5%", "7.5 %"], {"type": "float64", "percent": True}),
    ([" 7", "8"], {"type": "int64", "trim": True}),
    (["007", "+7", "8"], {"type": "int64", "lenient": True}),
    (["12111450436133142103", "9", "100"], {"type": "decimal(20,0)"}),
    (["9007199254740993", "0.5"], {"type": "decimal(18,1)"}),
    (["12111450436133142103", "9.5"], {"type": "decimal(21,1)"}),
    (["NA", "1", " n/a ", "NA"], {"type": "int64", "null_values": ["NA", "n/a"]}),
    (["?", "1.5", "2.5"], {"type": "float64", "null_values": ["?"]}),
    (["12 kg", "5kg"], {"type": "int64", "strip": " kg"}),
]
OTHERS = [
    (["Yes", "no", "Y", "n"], {"type": "bool", "true": ["yes", "y"], "false": ["no", "n"]}),
    (["11/03/2011", "20/10/2011"], {"type": "date", "format": "%d/%m/%Y"}),
    (["03/11/2011", "10/20/2011"], {"type": "date", "format": "%m/%d/%Y"}),
    (["11.03.2011 10:00", "2024-02-29", "12.03.2011 11:00"], {"type": "timestamp"}),
    (["5 Mar 2024", "12-Apr-2024", "6 Mar 2024"], {"format": ["%d %b %Y", "%d-%b-%Y"]}),
    (["13/12/2024 10:00:00+0100", "14/12/2024 10:00:00Z"], {"type": "timestamptz"}),
    (["10/Oct/2000:13:55:36 -0700", "11/Oct/2000:00:00:01 +0000"], {"format": "%d/%b/%Y:%H:%M:%S %z"}),
    (["2023-12-31 23:05:00,123", "2024-01-01 00:00:00,5"], {"format": "%Y-%m-%d %H:%M:%S,%f"}),
    (["2024-06-05 00:00:00 UTC", "2024-06-05 01:30:00 UTC"], {"type": "timestamp"}),
    (["Sun, 31 Dec 2023 23:05:00 GMT", "Tue, 02 Jan 2024 01:00:00 GMT"], {"type": "timestamp"}),
    (["Wed Aug 27 13:08:45 2008", "Thu Aug 28 13:08:45 2008"], {"format": "%a %b %d %H:%M:%S %Y"}),
    (["Wed Aug 27 13:08:45 +0000 2008", "Thu Aug 28 13:08:45 +0200 2008"], {"type": "timestamptz"}),
    (["20240102T030405Z", "20241231T235959Z"], {"format": "%Y%m%dT%H%M%S%z"}),
    (["2024. 1. 5.", "2024. 12. 31."], {"type": "date", "format": "%Y. %m. %d."}),
    (["2024年1月5日", "2024年12月31日"], {"type": "date", "format": "%Y年%m月%d日"}),
]


@pytest.mark.parametrize(("texts", "told"), AMOUNTS + OTHERS)
def test_texts_in_another_spelling_are_read_and_the_advice_fits_all_of_them(texts, told):
    found = reading(pa.array(texts), "x", spec())
    [entry] = entries(found.cure)
    assert entry | told == entry
    assert repr(next(text for text in texts if text not in {"9", "100", "2024-02-29", "1"})) in found.culprits
    assert fits(texts, entry)


@pytest.mark.parametrize(
    ("texts", "kind", "entry"),
    [
        (["20231231", "20240102"], "timestamp", {"type": "date", "format": "%Y%m%d"}),
        (["20231231235959", "20240102000000"], "timestamp", {"type": "timestamp", "format": "%Y%m%d%H%M%S"}),
        (["1", "0"], "bool", {"type": "bool", "true": ["1"], "false": ["0"]}),
        (["1"], "bool", {"type": "bool", "true": ["1"], "false": ["0"]}),
        (["Yes"], "bool", {"type": "bool", "true": ["yes"], "false": ["no"]}),
    ],
)
def test_what_has_to_be_of_a_family_needs_less_to_be_read_so(texts, kind, entry):
    """Numbers too; and one word of a pair is enough."""
    for field in (Field("x", parse_type(kind)), Field("x", parse_type(entry["type"]), declared=True)):
        types = {"x": str(field.type)} if field.declared else {}
        [found] = entries(cure(pa.array(texts), field, spec(types)))
        assert found == entry
        assert fits(texts, found)


@pytest.mark.parametrize("texts", [["2024112", "2024113"], ["1700000000", "1700003600"], ["123456", "7"]])
def test_numbers_that_are_no_compact_dates_are_not_read_as_times(texts):
    assert cure(pa.array(texts), Field("x", parse_type("timestamp")), spec()) == ""


@pytest.mark.parametrize(
    ("texts", "kind", "right"),
    [
        (["2024-01-02T03:04:05.1234567Z", "2024-01-02 03:04:05.999999999Z"], "timestamptz",
         ["2024-01-02 03:04:05.123456+00:00", "2024-01-02 03:04:05.999999+00:00"]),
        (["2024-01-02T03:04:05.1234567+05:30"], "timestamptz", ["2024-01-01 21:34:05.123456+00:00"]),
        (["2024-01-02 03:04:05.123456000"], "timestamp", ["2024-01-02 03:04:05.123456"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x", "At the `time`", "class"])
def test_times_finer_than_a_microsecond_are_derived(texts, kind, right, name):
    """For a column that is declared as a time, and for one that has to be one."""
    for declared in (True, False):
        types = {name: kind} if declared else {}
        advice = cure(pa.array(texts), Field(name, parse_type(kind), declared=declared), spec(types))
        as_text, derived = (json.loads(found) for found in re.findall(r"\{.*?\}(?= into)", advice))
        assert as_text == {name: "string"}
        assert advice.endswith(f'use "{derived["as"]}" instead')
        found, errors = evaluated(derived["expr"], pa.table({name: texts}), types={name: STRING})
        assert [str(value) for value in found.to_pylist()] == right
        assert not errors
    mixed = pa.array([*texts, "x"])
    assert "derive" not in cure(mixed, Field(name, parse_type(kind)), spec())


def test_what_reads_in_two_ways_gets_both():
    days = reading(pa.array(["03/05/2011", "04/06/2011"]), "x", spec()).cure
    assert [entry["format"] for entry in entries(days)] == ["%d/%m/%Y", "%m/%d/%Y"]
    assert "if the day comes first, or" in days
    groups = reading(pa.array(["1,234", "12,345"]), "x", spec()).cure
    assert [entry.get("thousands") or entry["decimal"] for entry in entries(groups)] == [",", ","]
    assert "if ',' groups thousands, or" in groups
    euros = entries(reading(pa.array(["€1.000", "€2.500"]), "x", spec()).cure)
    assert [entry.get("thousands") for entry in euros] == [None, "."]
    assert len(entries(reading(pa.array(["1.234", "n/a"] * 2), "x", spec()).cure or "")) == 1


@pytest.mark.parametrize(
    "texts",
    [
        ["ann", "bob"], ["M", "F", "F"], ["A12", "B13"], ["10.0.0.1", "10.2.3.4"], ["#1", "#2"],
        ["5.-", "7.-"], ["1-2", "3-4"], ["5kg", "7lb", "3oz"], ["NA", "NA"], ["x", "y", "1"],
        ["555-1234", "555-9876"], ["2024-13-45", "31/31/2011"], ["1,23,4", "1..2"],
        ["12 Main St", "7 Main St"],
    ],
)  # fmt: skip
def test_text_is_text(texts):
    assert reading(pa.array(texts), "x", spec()) is None


def test_numbers_in_our_own_spelling_have_no_culprits_and_a_rare_text_is_one_wherever_it_is():
    numbers = [str(number) for number in range(5000)]
    assert reading(pa.array(numbers), "x", spec()).culprits == ""
    found = reading(pa.array([*numbers, "11.0.1"]), "x", spec())
    assert found.culprits == "'11.0.1' in less than 0.1% of sampled rows"
    assert found.cure.endswith("if '11.0.1' stands for null")
    rare = [*numbers, "+7", "$8"]
    assert fits(rare, entries(reading(pa.array(rare), "x", spec()).cure)[0])


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["2024-03-01T00:00:00.250Z", "2024-03-01T00:00:01.500Z"], "timestamptz"),
        (["2024-10-27 12:00:00"], "timestamp"),
        (["2024-10-27"], "date"),
        (["true", "TRUE"], "bool"),
    ],
)
def test_our_own_spelling_needs_no_description(texts, kind):
    assert entries(reading(pa.array(texts), "x", spec()).cure) == [{"type": kind}]


def test_many_texts_that_fit_nothing_are_bad_rows():
    texts = [*map(str, range(100)), "a", "b", "c", "d"]
    assert 'set options.on_bad_row to "quarantine"' in reading(pa.array(texts), "x", spec()).cure


def test_marks_of_the_file_are_not_told_again():
    texts = ["1,5", "$2,5"]
    assert entries(reading(pa.array(texts), "x", spec(decimal=",")).cure) == [
        {"type": "decimal(18,2)", "strip": "$"}
    ]


DECLARED = [
    ("int64", ["007", "+7", " 7", "7.0", "5"], {"lenient": True, "trim": True}),
    ("decimal(10,2)", ["1e3", "5"], {"lenient": True}),
    ("decimal(10,2)", ["1.234,5", "7"], {"decimal": ",", "thousands": "."}),
    ("bool", ["Yes", "no", "Y", "t", "0", "n", "1"], {"true": ["yes", "y", "t", "1"]}),
    ("date", ["11/03/2011", "20/10/2011"], {"format": "%d/%m/%Y"}),
    ({"type": "decimal(18,2)", "strip": "$"}, ["€5", "$6"], {"type": "decimal(18,2)", "strip": "$€"}),
    (
        {"type": "date", "format": "%d/%m/%Y"},
        ["2011-03-04", "20/10/2011"],
        {"format": ["%d/%m/%Y", "%Y-%m-%d"]},
    ),
    ("int64", ["5", "N/A"], {"type": "int64", "null_values": ["N/A"]}),
    ("decimal(9,2)", ["1.555", "1.5"], {"type": "decimal(10,3)"}),
    ("decimal(9,2)", ["12345678.55", "1.5"], {"type": "decimal(10,2)"}),
    ("int64", ["12111450436133142103"], {"type": "decimal(20,0)"}),
    ("float64", ["1,5", "2,5"], {"type": "float64", "decimal": ","}),
    ("int64", ["NA", "NA"], {"type": "int64", "null_values": ["NA"]}),
]


@pytest.mark.parametrize(("types", "texts", "told"), DECLARED)
def test_the_cure_of_a_declared_column_keeps_its_type_and_its_options(types, texts, told):
    kind = parse_type(types if isinstance(types, str) else types["type"])
    [entry] = entries(cure(pa.array(texts), Field("x", kind, declared=True), spec({"x": types})))
    assert entry | told == entry
    assert fits(texts, entry)


def test_a_refusal_says_why_a_local_time_has_no_moment():
    field = Field("x", TIMESTAMPTZ, declared=True)
    twice, never = "2025-10-26 02:30:00", "2025-03-30 02:30:00"
    assert "show '2025-10-26 02:30:00' twice; set source.ambiguous_times" in refused(twice, field).reason
    assert refused(never, field).reason == f"the clocks of Europe/Amsterdam skip {never!r}"
    assert refused("x", field).reason == "'x' is no timestamptz"
    assert refused("x", Field("x", parse_type("int64"))).reason == "'x' is no int64"


def refused(literal, field, *others):
    return refusal(literal, field, spec(), lambda: pa.array([literal, *others]))


def test_no_type_cures_a_local_time_without_a_moment():
    field = Field("x", TIMESTAMPTZ, declared=True)
    twice, never = "2025-10-26 02:30:00", "2025-03-30 02:30:00"
    assert [refused(literal, field, "2025-01-01 00:00").cure() for literal in (twice, never)] == ["", ""]
    [entry] = entries(refused("30.03.2025 02:30", field, "26.10.2025 02:30", "13.01.2025 10:00").cure())
    assert entry == {"type": "timestamptz", "format": "%d.%m.%Y %H:%M"}


MARKS = [
    {},
    {"decimal": ","},
    {"thousands": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": "'", "thousands": "."},
    {"decimal": " "},
    {"trim": True, "thousands": ","},
    {"decimal": "$", "null_values": ["NA"]},
]
CULPRITS = [
    *(
        "1.234,56",
        "1,234.56",
        "1,5",
        "1.5",
        "$1,234",
        "$5",
        "€1.000",
        "5 kg",
        "(5)",
        "5-",
        "5%",
        "7,5 %",
        "007",
    ),
    *(
        "+7",
        " 7 ",
        "1 234,5",
        "1'234.5",
        "1e5",
        "n/a",
        "abc",
        "99999999999999999999",
        "-1.234.567",
        "$ 1'000.25",
    ),
    *("yes", "03/05/2011", "2024-02-29 10:00:00", "x" * 1500),
]


@pytest.mark.parametrize("csv", MARKS, ids=str)
@pytest.mark.parametrize("culprit", CULPRITS, ids=lambda text: text[:20])
def test_every_entry_that_is_proposed_is_taken_beside_the_marks_of_all_columns_and_reads_the_culprit(
    culprit, csv
):
    own = csv.get("decimal", ".")
    numbers = ["12", f"3{own}25", f"4{own}5", culprit]
    declared = [
        ("int64", [culprit]),
        ("decimal(9,2)", numbers),
        ("bool", ["true", culprit]),
        ("timestamp", ["2024-02-29 10:00", culprit]),
    ]
    advices = [
        cure(pa.array(texts), Field("x", parse_type(kind), declared=True), spec({"x": kind}, **csv))
        for kind, texts in declared
    ]
    found = [reading(pa.array(texts), "x", spec(**csv)) for texts in ([culprit], numbers)]
    for advice in (*advices, *(told.cure for told in found if told)):
        for entry in entries(advice):
            assert fits([culprit], entry, **csv) or "quarantine" in advice, advice


def test_where_the_marks_of_all_columns_are_others_each_sense_is_told_by_its_own_mark():
    cents = reading(pa.array(["$1,234", "$5,678"]), "x", spec(thousands=",")).cure
    assert [(e.get("decimal"), e.get("thousands")) for e in entries(cents)] == [(None, None), (",", ".")]
    assert "if ',' groups thousands, or" in cents
    assert cents.endswith("if ',' is the decimal mark")
