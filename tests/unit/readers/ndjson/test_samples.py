"""Names and texts in samples, beside what the json module reads."""

import json
import random

import pyarrow as pa
import pytest

from tests.support.datasets import opened, source
from worker_service.readers.ndjson.content import content_of
from worker_service.readers.ndjson.samples import SAMPLE_BYTES, sample_of
from worker_service.readers.ndjson.values import kind_of

SPEC = source(file_format="ndjson")
VALUES = [
    "1",
    "-2.50",
    "1E3",
    '"text"',
    r'"\u00e9\n"',
    "null",
    "true",
    '{"b": 1, "c": {"d": null}}',
    "[1, 2]",
]


class Number(str):
    __slots__ = ()


def names_in(value, prefix=""):
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from names_in(inner, f"{prefix}{key}.")
        yield prefix + key


def records_in(data):
    """Those that are JSON objects; numbers keep their text."""
    for line in data.splitlines():
        try:
            yield json.loads(line, parse_int=Number, parse_float=Number)
        except ValueError:  # of a line that is no JSON, or not UTF-8
            continue


def text_of(value):
    return json.dumps(value) if isinstance(value, bool) else value


def kind_by_json(values):
    held = [value for value in values if value is not None]
    if not held:
        return "null"
    if all(isinstance(value, bool) for value in held):
        return "bool"
    if all(isinstance(value, Number) for value in held):
        return "int64" if all(value.lstrip("-").isdigit() for value in held) else "float64"
    return "string"


def sampled(data, count, columns):
    with opened(data) as [file]:
        return sample_of(content_of(file, SPEC), count, columns)


@pytest.mark.parametrize("bad", [b"", b"{\n", b'{"a": 1,}\n', b"\n\n", b"\xff\n"])
@pytest.mark.parametrize("seed", range(6))
def test_names_texts_and_kinds(seed, bad):
    chance = random.Random(seed)
    kinds = {
        "a": VALUES[:1],
        "b": VALUES[:3],
        "c": ["true", "null"],
        "d": VALUES,
        "e": ["null"],
        "f g": VALUES,
    }
    lines = [
        "{"
        + ", ".join(f'"{k}": {chance.choice(of)}' for k, of in kinds.items() if chance.random() < 0.8)
        + "}"
        for _ in range(chance.choice([1, 40]))
    ]
    data = "".join(f"{line}\n" for line in lines).encode() + bad
    found, records = sampled(data, 1, kinds), list(records_in(data))
    assert list(found.names) == list(dict.fromkeys(name for record in records for name in names_in(record)))
    for name in kinds:
        values = [record.get(name) for record in records]
        if not any(isinstance(value, list | dict) for value in values):
            assert found.texts[name].text.to_pylist() == [text_of(value) for value in values]
        assert kind_of(found.texts[name], SPEC) == kind_by_json(values)


def test_many_blocks_are_joined():
    lines = [f'{{"n": {no}, "of{no % 7}": "x"}}\n' for no in range(SAMPLE_BYTES // 4)]
    lines[3] = "{broken\n"
    found = sampled("".join(lines).encode(), 4, ["n"])
    numbers = [int(text) for text in found.texts["n"].text.to_pylist()]
    assert numbers == sorted(numbers)
    assert len(numbers) > 4 * SAMPLE_BYTES // 30
    assert 3 not in numbers
    assert set(found.names) == {"n", *(f"of{no}" for no in range(7))}


def test_a_file_without_records():
    found = sampled(b"", 16, ["n"])
    assert found.names == {}
    assert found.texts["n"].text == pa.array([], pa.string())
