"""Blocks of NDJSON, read in windows of any size: as the plain path and the json module read them."""

import json
import random

import pytest

from shared.spec.types import Field, parse_type
from tests.support.datasets import source
from tests.support.native import needs_library
from tests.support.native_csv import same
from worker_service.readers.ndjson import native

pytestmark = needs_library

KINDS = {"a": "int64", "b": "string", "c": "float64", "d": "string"}
FIELDS = [Field(name, parse_type(kind)) for name, kind in KINDS.items()]
SPEC = source(file_format="ndjson")


@pytest.fixture(params=[(64, 1), (64, 3), (128, 1 << 12), (1 << 18, 7), (1 << 18, 1 << 12)])
def window(request, monkeypatch):
    window, lines = request.param
    monkeypatch.setattr(native, "WINDOW", window)
    monkeypatch.setattr(native, "LINES", lines)


@pytest.fixture
def taken(monkeypatch):
    """What `LineReader.read` has found of each block."""
    found, read = [], native.LineReader.read

    def watched(self, block):
        found.append(read(self, block))
        return found[-1]

    monkeypatch.setattr(native.LineReader, "read", watched)
    return found


def records(count, seed, text=lambda chance: f"t{chance.randint(0, 5)}"):
    chance = random.Random(seed)
    return [
        {
            "a": chance.choice([None, 7, -(10**9), 12345678, 123456789012345678]),
            "z": chance.choice([1, "x" * chance.randint(0, 40), None, True]),
            "b": text(chance),
            "c": chance.choice([0.5, -1.25e-7, 3.0, 123456.7890123, None]),
            "d": "é" * chance.randint(0, 2) + "long " * chance.randint(0, 30),
        }
        for _ in range(count)
    ]


def written(found, end="\n", **how):
    return "".join(json.dumps(record, ensure_ascii=False, **how) + end for record in found).encode()


def column(told, name):
    return [text for batch in told for text in batch["columns"][name][1]]


def assert_read(told, found):
    for name in KINDS:
        assert column(told, name) == [repr(record.get(name)) for record in found]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n\r\n\n"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\t", " :\r")])
@pytest.mark.usefixtures("window")
def test_regular_lines(end, separators, taken):
    found = records(80, f"{end} {separators}")
    data = written(found, end, separators=separators)
    for given in (data, data.removesuffix(end.encode())):
        for size in (len(data), 700):
            assert_read(same(b"\n" + given, FIELDS, SPEC, batch_bytes=size), found)
    assert all(read is not None and not read.refused.size for read in taken)


@pytest.mark.usefixtures("window")
def test_lines_that_end_anywhere(taken):
    for size in (*range(20), *range(40, 85)):
        found = [{"b": "x" * size, "a": number} for number in range(30)]
        assert_read(same(b"\n" + written(found), FIELDS, SPEC), found)
    assert all(read is not None and not read.refused.size for read in taken)


@pytest.mark.usefixtures("window")
def test_long_lines_and_text_that_is_not_ascii_or_not_utf8():
    sizes = [0, 1, 30, 500, 5000]
    found = [{"a": i, "d": letter * size} for i, size in enumerate(sizes * 2) for letter in ("x", "é", "日")]
    data = b"\n" + written(found)
    assert_read(same(data, FIELDS, SPEC), found)
    for at in range(len(data) - 200, len(data)):
        wrong = data[:at] + b"\xff" + data[at + 1 :]
        told = same(wrong, FIELDS, SPEC)
        assert data[at : at + 1] == b"\n" or sum(len(batch["bad"]) for batch in told) == 1


@pytest.mark.parametrize("most", [1, 3, 4096])
def test_few_texts_are_codes_and_many_are_not(most, monkeypatch, taken):
    monkeypatch.setattr(native, "MOST_CODES", most)
    for count in (1, 2, 4):
        texts = [str(i) * size for size in (0, 1, 15, 16, 17, 63, 64, 65) for i in range(count)]
        found = records(300, count, lambda chance, texts=texts: chance.choice(texts))
        told = same(b"\n" + written(found), FIELDS, SPEC, batch_bytes=4000)
        assert_read(told, found)
    assert all(taken)


def test_texts_that_grow_longer(taken):
    found = [{"a": i, "b": "x" * (i * i // 8), "d": "y" * (400 - i)} for i in range(400)]
    for size in (500, 1 << 20):
        assert_read(same(b"\n" + written(found), FIELDS, SPEC, batch_bytes=size), found)
    assert all(taken)


@pytest.mark.usefixtures("window")
def test_refused_lines_among_coded_ones():
    found = records(200, 5)
    for at in range(3, 200, 17):
        found[at]["b"] = f'with "quotes" and \\ {at}'
    assert_read(same(b"\n" + written(found), FIELDS, SPEC, batch_bytes=3000), found)


@pytest.mark.usefixtures("window")
def test_a_key_that_occurs_twice_in_every_line():
    data = b"\n" + b'{"a": 1, "b": "x", "a": 2}\n' * 3 + b'{"a": 3, "b": "y", "q": 2}\n' * 60
    [told] = same(data, FIELDS, SPEC)
    assert len(told["bad"]) == 3
    assert column([told], "a") == ["3"] * 60


@pytest.mark.usefixtures("window")
def test_more_members_than_places():
    names = [f"n{i}" for i in range(150)]
    found = [{**dict.fromkeys(names, i), "a": i, "b": "last"} for i in range(50)]
    assert_read(same(b"\n" + written(found), FIELDS, SPEC), found)


@pytest.mark.usefixtures("window")
def test_keys_that_change_places_and_are_missing():
    chance, found = random.Random(2), []
    for record in records(300, 9):
        names = chance.sample(sorted(record), chance.randint(0, 5))
        found.append({name: record[name] for name in names})
    assert_read(same(b"\n" + written(found), FIELDS, SPEC, batch_bytes=5000), found)


def test_lines_that_hold_nothing():
    for data in (b"\n\n\n", b"\n{}\n", b"\n \n\t\r\n{}\n", b"\n\r\n\r\n"):
        same(data, FIELDS, SPEC)
        same(data, FIELDS, SPEC, columns=[])
