"""What the native library takes is what `literals` takes, with the same values; and the oracles agree."""

import math
import struct
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from shared.spec.column_text import ColumnText
from shared.spec.types import Field, parse_type
from tests.support.datasets import source
from tests.support.native import needs_library
from tests.support.native_csv import taken
from tests.support.texts import TEXTS, texts
from worker_service.readers import literals

pytestmark = needs_library

FIELDS = [
    Field("x", parse_type(kind), declared, key)
    for kind in TEXTS
    for declared in (True, False)
    for key in (False, True)
    if declared or not kind.startswith("decimal")
]
NULLS = ("NA", "-1", "0.5")


def compare(field, count, spec, *, quoted, seed=1):
    found = texts(str(field.type), count, seed)
    cells = [f'"{text}"'.encode() if quoted else text.encode() for text in found]
    array, refused = taken(cells, field, spec)
    kept = [text for text, gone in zip(found, refused, strict=True) if not gone]
    absent = ("", *spec.csv.null_values)
    column = pa.array([None if text in absent else text for text in kept], pa.string())
    plain = literals.converted(column, field, spec)
    if plain.misfits is not None:
        pytest.fail(f"taken, and no literal: {column.filter(pa.array(plain.misfits))}")
    mine = array.filter(pa.array(~refused))
    assert mine.type == plain.values.type
    assert bits(mine) == bits(plain.values)
    assert array.filter(pa.array(refused)).null_count == refused.sum()
    return found, array, refused


def bits(array):
    """What two arrays of equal values have in common; -0.0 is not 0.0."""
    if pa.types.is_floating(array.type):
        array = array.view(pa.int64())
    return array.is_valid().to_pylist(), array.drop_null().to_pylist()


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f"{f.type}{'-declared' * f.declared}{'-key' * f.key}")
@pytest.mark.parametrize("quoted", [False, True], ids=["bare", "quoted"])
def test_what_is_taken_is_a_literal_with_the_same_value(field, quoted):
    spec = source(delimiter="\t", null_values=NULLS)
    compare(field, 8_000, spec, quoted=quoted)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f"{f.type}{'-declared' * f.declared}{'-key' * f.key}")
def test_a_million_literals(field):
    for seed in range(10):
        compare(field, 100_000, source(delimiter="\t"), quoted=False, seed=seed + 100)


def python_value(kind, text):
    if kind == "int64":
        return int(text)
    if kind == "bool":
        return {"true": True, "false": False}[text.lower()]
    if kind == "date":
        return date.fromisoformat(text)
    if kind == "timestamp":
        return datetime.fromisoformat(text)
    if kind == "timestamptz":
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return Decimal(text)


@pytest.mark.parametrize("kind", TEXTS)
def test_python_reads_what_is_taken_as_the_same_value(kind):
    spec = source(delimiter="\t")
    found, array, refused = compare(Field("x", parse_type(kind), declared=True), 50_000, spec, quoted=False)
    for text, value, gone in zip(found, array.to_pylist(), refused.tolist(), strict=True):
        if gone or not text:
            assert value is None
        elif text.lower() == "nan":
            assert math.isnan(value)
        elif kind == "float64":
            assert struct.pack("d", value) == struct.pack("d", float(text)), text
        else:
            assert value == python_value(kind, text), text


LEAST = {
    "int64": 1,
    "float64": 0.85,
    "decimal": 0.7,
    "bool": 1,
    "date": 0.7,
    "timestamp": 1,
    "timestamptz": 1,
}
"""So many of all literals are taken at least; a decimal may have 18 digits, and a date no midnight."""


@pytest.mark.parametrize("kind", TEXTS)
def test_most_literals_are_taken(kind):
    field, spec = Field("x", parse_type(kind), declared=True), source(delimiter="\t")
    found = [text for text in texts(kind, 2_000, seed=2) if text]
    _, refused = taken([text.encode() for text in found], field, spec)
    misfits = literals.converted(pa.array(found), field, spec).misfits
    assert (~refused).sum() >= LEAST[kind.partition("(")[0]] * (~misfits).sum()


TRAPS = {
    "int64": ["90.713013", "0x10", "1e5", "00", "-", "+1", "9223372036854775808", "-9223372036854775809",
              "١", "1_000", "12345678 ", "1234567:", "123456789012345/"],
    "float64": ["1_0", "0x1p3", "1e", "e5", ".", "-.", "--1", "1.2.3", "01.5", "+1.5", "1e400",
                "12345678.1234567:"],
    "decimal(18,2)": ["1.505", "1e5", "nan", "01.50", ".", "-", "12345678901234567.00"],
    "bool": ["1", "0", "t", "yes", "true ", "truee", "\x54rue\0"],
    "date": ["2023-02-29", "0000-01-01", "2024-1-01", "2024-01-01x", "2024/01/01"],
    "timestamp": ["2024-01-01T24:00", "2024-01-01T1:00", "2024-01-01T10", "2024-01-01T10:00:00.",
                  "2024-01-01T10:00Z", "2024-01-01T10:00:00.1234567", "2024-01-01T10:00:60"],
    "timestamptz": ["2024-01-01T10:00+1", "2024-01-01T10:00 Z",
                    "0001-01-01T00:00+01:00", "9999-12-31T23:59-01:00"],
}  # fmt: skip


@pytest.mark.parametrize("kind", TRAPS)
def test_texts_beside_the_grammar_are_refused(kind):
    _, refused = taken([text.encode() for text in TRAPS[kind]], Field("x", parse_type(kind), declared=True))
    assert refused.all()


def test_integers_that_no_double_holds_are_refused_in_an_undeclared_column():
    cells = [b"9007199254740993", b"9007199254740992", b"-9007199254740993"]
    assert taken(cells, Field("x", parse_type("float64")))[1].tolist() == [True, False, True]
    array, refused = taken(cells, Field("x", parse_type("float64"), declared=True))
    assert not refused.any()
    assert array.to_pylist() == [float(cell) for cell in cells]


def test_the_decimal_mark_of_a_column_is_read():
    spec = source({"x": ColumnText(type="float64", decimal=",")}, delimiter="\t")
    array, refused = taken([b"1,5", b"1.5", b"-,25"], Field("x", parse_type("float64"), declared=True), spec)
    assert refused.tolist() == [False, True, False]
    assert array.to_pylist() == [1.5, None, -0.25]


@pytest.mark.parametrize("end", range(12))
def test_the_last_field_of_the_data_is_read_without_a_byte_behind_it(end):
    cell = b"123456789.5"[: end or 1]
    array, refused = taken([b"1", cell], Field("x", parse_type("float64"), declared=True))
    assert not refused.any()
    assert array.to_pylist()[1] == float(cell)
