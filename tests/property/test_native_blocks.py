"""Adversarial files through both paths: the same tables, faults and errors; and the csv module agrees."""

import csv
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import SchemaWidened
from shared.spec.types import Field, parse_type
from tests.support.datasets import source
from tests.support.native import needs_library
from tests.support.native_csv import same

pytestmark = needs_library

FIELDS = [
    Field("a", parse_type("int64"), declared=True),
    Field("b", parse_type("string")),
    Field("c", parse_type("float64"), declared=True),
]
SPEC = source(delimiter=",", null_values=("NA", "null"))
CELLS = ["1", "-20", "12345678901", "x", "", "NA", '"NA"', '""', '"1"', "2.5", '"a,b"', '"a\n""b"""', "é",
         "\xff", "nul\0",
         '5" x', "1e400", " 1", '"x\r\ny"', "a" * 40, "0.1", "1e-5", "null", "\ufeff"]  # fmt: skip
RAGGED = [b"", b"1", b"1,2", b"1,2,3,4", b",,", b'"1\n2"', b"\xff,1", b"\0", b",,,,"]


def raw(cell):
    return b"\xff" if cell == "\xff" else cell.encode()


def records(chance, count, odd, end):
    for _ in range(count):
        if chance.random() < odd:
            yield chance.choice([*RAGGED, b",".join(raw(chance.choice(CELLS)) for _ in range(3))]) + end
        else:
            yield (
                b"%d,%b,%.6f"
                % (chance.randint(-99, 10**9), raw(f"t{chance.randint(0, 99)}"), chance.random())
                + end
            )


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("odd", [0, 0.003, 0.05, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_both_paths_tell_the_same(end, odd, seed):
    chance = random.Random(f"{end} {odd} {seed}")
    data = b"a,b,c\n" + b"".join(records(chance, 600, odd, end))
    data = data.removesuffix(end) if seed % 2 else data
    for size in (len(data), 5000):
        told = same(data, FIELDS, SPEC, batch_bytes=size)
        same(data, FIELDS, SPEC, batch_bytes=size, columns=[])
    if not odd:
        assert not any(batch["bad"] for batch in told)


@given(
    st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4), max_size=30),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
@settings(max_examples=150)
def test_both_paths_tell_the_same_of_small_files(rows, end):
    good = b"7,text,0.25\n" * 200
    lines = b"".join(b",".join(map(raw, row)) + end.encode() for row in rows)
    same(b"a,b,c\n" + good + lines + good, FIELDS, SPEC)


@given(st.lists(st.sampled_from(CELLS), max_size=30), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=50)
def test_both_paths_tell_the_same_of_one_column(cells, end):
    lines = b"".join(raw(cell) + end.encode() for cell in cells)
    for kind in ("string", "int64"):
        same(b"a\n" + b"7\n" * 300 + lines, [Field("a", parse_type(kind), declared=True)], SPEC)


@pytest.mark.parametrize(("length", "count"), [(1, 1100), (300, 200)])
def test_more_distinct_misfits_than_are_remembered(length, count):
    good = b"7,text,0.25\n" * 12
    lines = b"".join(
        good + b"%d%b,t,0.5\n" % (i, b"x" * length) + good + b"1,t,%d%b\n" % (i % 7, b"y" * length)
        for i in range(count)
    )
    told = same(b"a,b,c\n" + lines, FIELDS, SPEC, batch_bytes=50_000)
    assert sum(len(batch["bad"]) for batch in told) == 2 * count


def test_a_wider_value_widens_the_schema_in_both():
    fields = [
        Field("a", parse_type("int64")),
        Field("b", parse_type("string")),
        Field("c", parse_type("float64")),
    ]
    for cell in ("1.5", "9223372036854775808", "x", "1e999"):
        data = b"a,b,c\n" + b"1,t,0.5\n" * 500 + f"{cell},t,0.5\n".encode() + b"9007199254740993,t,1\n" * 500
        told = same(data, fields, SPEC)
        assert told[0] is SchemaWidened


def test_every_type_through_both():
    kinds = {
        "a": "decimal(10,3)", "b": "bool", "c": "date", "d": "timestamp", "e": "timestamptz", "f": "string",
    }  # fmt: skip
    fields = [Field(name, parse_type(kind), declared=True) for name, kind in kinds.items()]
    line = b"-12.5,True,2024-02-29,2024-01-02 03:04:05.25,2024-01-02T03:04+01:00,\xc3\xa9\n"
    odd = b"1.2345,1,2024-02-30,2024-01-02T25:00,2024-01-02T03:04+01:00,x\n,,,,,\n"
    odd += b"1.,FALSE,2024-01-01 00:00,2024-01-01,2024-01-01 00:00,\n"
    data = b"a,b,c,d,e,f\n" + line * 100 + odd + line * 100
    for spec in (SPEC, source(delimiter=",", timezone="Europe/Berlin")):
        [told] = same(data, fields, spec)
        assert len(told["bad"]) == 1


@pytest.mark.parametrize("tail", range(41))
def test_strings_of_every_length(tail):
    chance, made = random.Random(tail), io.StringIO()
    words = ["".join(chance.choices('ab"é,\n𝄞 ', k=chance.randint(0, tail))) for _ in range(300)]
    words += ["x" * tail, "y" * (tail + 1), '"' * tail]
    csv.writer(made, lineterminator="\n").writerows([i, word, 0.5] for i, word in enumerate(words))
    [told] = same(b"a,b,c\n" + made.getvalue().encode(), FIELDS, source(delimiter=","))
    expected = [word or None for word in words]
    assert told["columns"]["b"][1] == [repr(word) for word in expected]


FAULTS = [
    b"\x80",
    b"\xc0\xaf",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\0",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_text_that_is_not_utf8_is_the_same_bad_row(fault):
    data = b"a,b,c\n" + b"1,\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80,0.5\n" * 50
    data += b"".join(b"2,%b%b%b,1\n" % (b"x" * i, fault, b"y" * j) for i in (0, 1, 15, 16) for j in (0, 1))
    data += b"1,z,0.5\n" * 200
    [told] = same(data, FIELDS, SPEC)
    assert len(told["bad"]) == 8
