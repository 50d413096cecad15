"""Lines of NDJSON through both paths: the same tables, faults and errors."""

import json
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

KINDS = {"a": "int64", "b": "string", "c": "float64", "é x": "bool", "": "decimal(12,2)", "when": "date"}
FIELDS = [Field(name, parse_type(kind), declared=True) for name, kind in KINDS.items()]
SPEC = source(file_format="ndjson")
GOOD = {
    "a": ["1", "-20", "null", "12345678901"],
    "b": ['"t"', '"a longer text than sixteen"', "null", '""', '"é"'],
    "c": ["0.5", "-1e3", "1E-05", "7", "null"],
    "é x": ["true", "false", "null"],
    "": ["1.50", "-0.1", "null", "12"],
    "when": ['"2024-02-29"', "null"],
    "z": ['"x"', "1", "null", "[]", "{}", '[1, {"a": [2]}]', '{"a": {"b": "]"}}', r'"\"\u00e9\\"'],
}  # fmt: skip
ODD = [
    *("NaN", "-Infinity", "01", "1.", "-", '"\t"', r'"\u0000"', r'"\ud800"', r'"\uZZZZ"', "tru"),
    *("[1,]", "[1 2]"),
    *('{"c": 1, "c": 2}', r'"\q"', '"\x01"', "+1", ".5", "nul", '{"c"}', "1e999", "--1", '"', "Inf", ""),
    *("[" * 70 + "]" * 70, "[" * 600 + "]" * 600, '{"a":1,}', "[}", "{]", '"12"', "1.0", "9" * 20, "1e-400"),
    *(r'"\u0031"', "-0", "1e2", '"true"', '"2023-02-29"', "truely", "1 2", '{"k":}', "[,1]", "{1:2}", "\\"),
]  # fmt: skip


def line_of(chance, odd):
    names = chance.sample(list(GOOD), chance.randint(0, len(GOOD)))
    pairs = [(name, chance.choice(GOOD[name])) for name in names]
    gap = ""
    if chance.random() < odd:
        gap = chance.choice(["", " ", "\t ", "\r"])
        pairs.insert(
            chance.randint(0, len(pairs)),
            (chance.choice([*GOOD, r"\u0061", "a\\", "b.c", "k" * 300]), chance.choice(ODD)),
        )
    inside = f",{gap}".join(f'"{name}"{gap}:{gap}{value}' for name, value in pairs)
    line = f"{gap}{{{gap}{inside}{gap}}}{gap}".encode()
    if chance.random() < odd / 4:
        at = chance.randrange(len(line) + 1)
        line = (
            line[:at] + chance.choice([b"\xff", b"\0", b",", b"}", b"{", b'"', b"\xe9", b""]) + line[at + 1 :]
        )
    return line


def lines_of(chance, count, odd):
    return b'{"a": 1}\n' + b"".join(line_of(chance, odd) + b"\n" for _ in range(count))


@pytest.mark.parametrize("odd", [0, 0.01, 0.1, 0.6])
@pytest.mark.parametrize("seed", range(6))
def test_both_paths_tell_the_same(odd, seed):
    chance = random.Random(f"{odd} {seed}")
    data = lines_of(chance, 500, odd)
    data = data.removesuffix(b"\n") if seed % 2 else data.replace(b"\n", b"\r\n") if seed % 3 == 0 else data
    for size in (len(data), 3000):
        told = same(data, FIELDS, SPEC, batch_bytes=size)
        same(data, FIELDS, SPEC, batch_bytes=size, columns=[])
    if not odd:
        assert not any(batch["bad"] for batch in told)


@pytest.mark.parametrize("seed", range(12))
def test_undeclared_columns_widen_in_both(seed):
    chance = random.Random(seed)
    fields = [
        Field("a", parse_type("int64")),
        Field("b", parse_type("string")),
        Field("z", parse_type("string")),
        Field("c", parse_type("float64")),
        Field("é x", parse_type("bool")),
    ]
    data = lines_of(chance, 300, 0)
    same(data, fields, SPEC, batch_bytes=2000)
    odd = chance.choice(['{"a": 1.5}', '{"a": "1"}', '{"c": true}', '{"é x": 0}', '{"c": 9007199254740993}'])
    lines = data.split(b"\n")
    lines[chance.randrange(1, len(lines) - 1)] = odd.encode()
    told = same(b"\n".join(lines), fields, SPEC, batch_bytes=2000)
    assert told[0] is SchemaWidened


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(GOOD)), st.sampled_from([v for of in GOOD.values() for v in of] + ODD)
        ),
        max_size=5,
    )
)
@settings(max_examples=150)
def test_one_line_among_good_ones(pairs):
    line = "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
    good = b'{"a": 7, "b": "text", "c": 0.25}\n' * 20
    same(good + line.encode() + b"\n" + good, FIELDS, SPEC)


def test_json_itself_agrees_about_good_lines():
    data = lines_of(random.Random(5), 400, 0)
    [batch] = same(data, FIELDS, SPEC)
    records = [json.loads(line) for line in data.splitlines()[1:]]
    for name, of in (("a", int), ("b", str), ("c", float), ("é x", bool)):
        values = (record.get(name) for record in records)
        assert batch["columns"][name][1] == [repr(value if value is None else of(value)) for value in values]
