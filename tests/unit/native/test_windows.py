"""Blocks of records, read in windows of any size: as the plain path and the csv module read them."""

import csv
import io
import random
from functools import partial

import pytest

from shared.spec.types import Field, parse_type
from tests.support.datasets import source
from tests.support.native import needs_library
from tests.support.native_csv import same
from worker_service.readers.csv.native import windows

pytestmark = needs_library

KINDS = {"a": "int64", "b": "string", "c": "float64", "d": "string"}
FIELDS = [Field(name, parse_type(kind), declared=True) for name, kind in KINDS.items()]
SPEC = source(delimiter=",", null_values=("NA",))
WINDOWS = [64, 128, 1 << 18]


@pytest.fixture(params=WINDOWS)
def window(request, monkeypatch):
    monkeypatch.setattr(windows, "WINDOW", request.param)


@pytest.fixture
def taken(monkeypatch):
    """What `WindowReader.read` has found of each block."""
    found, read = [], windows.WindowReader.read

    def watched(self, block, decide):
        found.append(read(self, block, decide))
        return found[-1]

    monkeypatch.setattr(windows.WindowReader, "read", watched)
    return found


def rows(count, seed, text=lambda chance: f"t{chance.randint(0, 5)}"):
    chance = random.Random(seed)

    def row():
        number, fraction = chance.randint(-99, 10**9), chance.uniform(-9, 99)
        return [str(number), text(chance), f"{fraction:.4f}", "long " * chance.randint(0, 30)]

    return [row() for _ in range(count)]


def column(told, name):
    return [text for batch in told for text in batch["columns"][name][1]]


def written(lines, end="\n", quoting=csv.QUOTE_MINIMAL):
    made = io.StringIO()
    csv.writer(made, lineterminator=end, quoting=quoting).writerows(lines)
    return made.getvalue().encode()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.usefixtures("window")
def test_regular_blocks(end, quoting, closed, taken):
    lines = rows(80, f"{end} {quoting}")
    data = written(lines, end, quoting)
    data = data if closed else data.removesuffix(end.encode())
    for size in (len(data), 700):
        told = same(b"a,b,c,d\n" + data, FIELDS, SPEC, batch_bytes=size)
        assert column(told, "b") == [repr(line[1]) for line in lines]
        assert column(told, "c") == [repr(float(line[2])) for line in lines]
    assert taken
    assert all(taken)


@pytest.mark.usefixtures("window")
def test_records_that_end_anywhere(taken):
    for size in (*range(44, 60), *range(107, 124)):
        line = b"1,%b,2.5,z\n" % (b"x" * size)
        [told] = same(b"a,b,c,d\n" + 5 * line, FIELDS, SPEC)
        assert told["columns"]["b"][1] == [repr("x" * size)] * 5
    assert taken
    assert all(taken)


ODD = [b"1,2\n", b"1,2,3,4,5\n", b"\n", b"\r\n", b"1,t,3\r4,z\n", b'1,"t\n",3,4\n', b"1,t\n,3,4\n1,t,3,4\n",
       b",,\n,\n", b"1,2,3\n4\n5,6,7,8\n", b"1,2\n3,4\n", b"1,2\n3,4\n5,6,7\n8,9,10,11,12\n"]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.usefixtures("window")
def test_odd_records(odd):
    good = [written([line]) for line in rows(40, 1)]
    for at in (0, 7, 40):
        same(b"a,b,c,d\n" + b"".join([*good[:at], odd, *good[at:]]), FIELDS, SPEC)


ODD_TEXTS = ["x", "1e400", "\xff", "nul\0", "é", "NA", "", '"NA"', '"a""b"', '""', "1.5"]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.usefixtures("window")
def test_refused_values(number):
    for odd in ODD_TEXTS:
        with_odd_text(number, odd.encode("latin-1" if odd == "\xff" else "utf-8"))


def with_odd_text(number, raw):
    lines = rows(60, number)
    data = [written([line]) for line in lines]
    for at in (0, 31, 59):
        fields = data[at].removesuffix(b"\n").split(b",")
        fields[number] = raw
        data[at] = b",".join(fields) + b"\n"
    same(b"a,b,c,d\n" + b"".join(data), FIELDS, SPEC)


@pytest.mark.parametrize("most", [1, 3, 4096])
def test_few_texts_are_codes_and_many_are_not(most, monkeypatch, taken):
    monkeypatch.setattr(windows, "MOST_CODES", most)
    sizes = [1, 15, 16, 17, 63, 64, 65]
    for count in (1, 2, 4):
        texts = [str(i) * size for size in sizes for i in range(count)]
        lines = rows(300, count, partial(random.Random.choice, seq=texts))
        data = b"a,b,c,d\n" + written(lines)
        told = same(data, FIELDS, SPEC, batch_bytes=4000)
        assert column(told, "b") == [repr(line[1]) for line in lines]
    assert taken
    assert all(taken)


@pytest.mark.parametrize("share", [0, 1])
@pytest.mark.usefixtures("window")
def test_texts_that_grow_longer(share, taken):
    fields = [FIELDS[0], FIELDS[1]]
    lines = [[str(i), f"{i}" + "x" * (i * i // 8 * (i % 2 == share))] for i in range(200)]
    for size in (500, 1 << 20):
        told = same(b"a,b\n" + written(lines), fields, SPEC, batch_bytes=size)
        assert column(told, "b") == [repr(line[1]) for line in lines]
    assert taken
    assert all(taken)


def test_rows_that_grow_shorter(taken):
    fields = [FIELDS[0], FIELDS[1]]
    lines = [[str(i), "x" * max(0, 400 - i)] for i in range(1000)]
    for size in (3000, 1 << 20):
        told = same(b"a,b\n" + written(lines), fields, SPEC, batch_bytes=size)
        assert sum(batch["rows"] for batch in told) == len(lines)
    assert taken
    assert all(taken)


@pytest.mark.parametrize("count", [1, 2, 64, 1000])
@pytest.mark.usefixtures("window")
def test_files_of_any_width(count, taken):
    names = [f"c{i}" for i in range(count)]
    fields = [Field(names[0], parse_type("string")), Field(names[-1], parse_type("int64"), declared=True)]
    lines = [[str(chance.randint(0, 99)) for _ in names] for chance in map(random.Random, range(9))]
    [told] = same(",".join(names).encode() + b"\n" + written(lines), fields[-min(count, 2) :], SPEC)
    assert told["columns"][names[-1]][1] == [line[-1] for line in lines]
    assert taken
    assert all(taken)


def test_a_block_is_not_begun_anew_for_each_of_many_columns_of_long_texts(monkeypatch):
    begun, tried = [], windows.WindowReader._tried

    def watched(self, *given):
        begun.append(1)
        return tried(self, *given)

    monkeypatch.setattr(windows.WindowReader, "_tried", watched)
    names = [f"c{number}" for number in range(300)]
    texts = [f"{name} " * 1000 for name in names]
    fields = [Field(name, parse_type("string"), declared=True) for name in names]
    [told] = same(f"{','.join(names)}\n{','.join(texts)}\n".encode(), fields, SPEC)
    assert [told["columns"][name][1] for name in names] == [[repr(text)] for text in texts]
    assert len(begun) <= 12
