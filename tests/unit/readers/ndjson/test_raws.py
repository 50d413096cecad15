"""Many lines at once give what one line at a time gives, or they are left to that."""

import json
import random

import pyarrow as pa
import pytest

from worker_service.readers.ndjson.content import Block
from worker_service.readers.ndjson.exact import Wanted, values_of
from worker_service.readers.ndjson.raws import picker_of, texts_of
from worker_service.readers.ndjson.values import TAGS

NAMES = ("a", "b.c", "b.d", "é x")
VALUES = [
    *("1", "-0", "1.50", "1e5", "12345678901234567890", "-1.5E-3", "true", "false", "null", '""', '"x y"'),
    *(r'"q\"uo, te"', r'"\u00e9\n"', r'"\\"', '"é"', "[1, 2]", '["a b" , "c"]', '[ {"a": [] } ]', "{}"),
    *(r'["x\" y", 1]', '{"c": 1}', '{"c": "z", "d":2}', '{"d": null, "c": [1 ,2]}', '"a"', '"b"', "[]"),
    *('{"a": 5}', '[{"a": 1, "a": 2}]', r'"\ud83d\ude00"', "[\t1\t]", '{"c": {"c": 1}}', r'["\\", " "]'),
]
ODD = [
    *("NaN", "-Infinity", "01", "1.", "-", '"\t"', r'"\u0000"', r'"\ud800"', "tru", "[1,]", "[1 2]", "'x'"),
    *('{"c": 1, "c": 2}', r'"\q"', '"\x01"', "+1", ".5", "nul", '{"c"}', "1e999", "--1", '"', "Inf"),
]  # fmt: skip
KEYS = ["a", "b", "é x", "z", "c"]


def line_of(draw, odd):
    pairs = [
        (draw.choice(KEYS), draw.choice(ODD if draw.random() < odd else VALUES))
        for _ in range(draw.randrange(5))
    ]
    if draw.random() > odd:
        pairs = list(dict(pairs).items())
    gap = draw.choice(["", " ", "\t"])
    keys = (rf"\u0061{key[1:]}" if key == "a" and draw.random() < odd / 9 else key for key, _ in pairs)
    inside = f",{gap}".join(f'"{key}"{gap}:{gap}{value}' for key, (_, value) in zip(keys, pairs, strict=True))
    return f"{{{gap}{inside}}}{draw.choice(['', '', ' ', chr(13)]) if draw.random() < odd else ''}"


def picked(lines, names=NAMES):
    data = "".join(f"{line}\n" for line in lines).encode()
    block = Block(0, data, len(data))
    picker = picker_of(names, [], {"b.a", "z.a", "c"})
    return texts_of(block, slice(0, len(lines)), picker)


def by_line(lines, names=NAMES):
    return [values_of(line.rstrip("\r").encode(), Wanted(names)) for line in lines]


def assert_same(found, records, names=NAMES):
    for name in names:
        pairs = [record.get(name) for record in records]
        assert found[name].text == pa.array([pair and pair[1] for pair in pairs], pa.string())
        for tag in TAGS:
            assert found[name].tagged[tag].tolist() == [pair is not None and pair[0] == tag for pair in pairs]


@pytest.mark.parametrize("odd", [0.0, 0.02, 0.2])
def test_random_lines_give_the_same_texts_or_none(odd):
    draw = random.Random(11)
    read = 0
    for _ in range(1500):
        lines = [line_of(draw, odd) for _ in range(draw.randrange(1, 6))]
        found = picked(lines)
        if found is not None:
            read += 1
            assert_same(found, by_line(lines))  # which raises for a bad line
    assert read > (250 if odd < 0.1 else 80)


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1, "a": 2}',
        '{"b": {"c": 1}, "b": {"d": 2}}',
        '{"b": {"c": 1, "c": 2}}',
        r'{"\u0061": 1}',
        '{"b.c": 1}',
        '{"a": NaN}',
        '{"a": 1} {"a": 2}',
        r'{"a": "\u0000"}',
        r'{"a": "\ud800"}',
    ],
)
def test_what_has_to_be_seen_line_by_line_is_left_to_that(line):
    assert picked(['{"a": 1}', line, '{"b": {"c": 1}}']) is None


def test_every_spelling_of_numbers_and_arrays_stays_and_columns_may_have_any_kind():
    lines = [json.dumps({"a": i}) for i in range(50)] + ['{"a": 1.10}', '{"a": [1, "x y"]}', '{"a": "1.10"}']
    found = picked(lines, ["a"])
    assert found["a"].text.to_pylist() == [*map(str, range(50)), "1.10", '[1,"x y"]', "1.10"]


def test_a_key_that_stands_elsewhere_too_is_read_many_lines_at_once():
    lines = ['{"id": 1, "items": [{"id": 7}], "s": "id"}', '{"id": "x", "z": {"a": {"id": 3}}}']
    assert_same(picked(lines, ["id"]), by_line(lines, ["id"]), ["id"])


@pytest.mark.parametrize("names", [["a", "a.b"], ['say "x"', "b"]])
def test_names_that_cannot_be_told_apart_have_no_picker(names):
    assert picker_of(names, [], []) is None
