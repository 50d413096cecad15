"""Counting records without parsing them, in blocks longer than a run that stays in the cache."""

import csv
import io
import random

import pytest

from tests.support.datasets import opened, source
from worker_service.readers.csv import bits
from worker_service.readers.csv.blocks import count_records, file_blocks
from worker_service.readers.csv.file import csv_file

NAMES = tuple("abcdefghi")
CELLS = {
    "plain": ["a", "bc", "", "1.5", "x" * 70],
    "quoted": ["a", "", 'a "quote"', '"', "one,two", "two\nlines", "\r\n", "\n\n", "," * 9, "x" * 70],
}


def document(kind, fields, end, *, blank, final):
    """The bytes of some 600 KB of records, and how many there are by the csv module's account."""
    chance = random.Random(f"{kind}{fields}{end}")
    text = io.StringIO()
    writer = csv.writer(
        text, lineterminator=end, quoting=csv.QUOTE_ALL if kind == "quoted" else csv.QUOTE_MINIMAL
    )
    while text.tell() < 600_000:
        writer.writerow([chance.choice(CELLS[kind]) for _ in range(fields)])
        text.write(end * (blank and chance.randrange(2)))
    data = text.getvalue() if final else text.getvalue() + ",".join("z" * fields)
    rows = csv.reader(io.StringIO(data, newline=""), strict=True)
    return data.encode(), sum(bool(row) or fields == 1 for row in rows)


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("fields", [1, 2, 3, 9])
@pytest.mark.parametrize("kind", CELLS)
def test_records_are_counted_as_the_csv_module_reads_them(monkeypatch, kind, fields, end, blank, final):
    data, expected = document(kind, fields, end, blank=blank, final=final)
    monkeypatch.setattr(bits, "RUN", 256 * 1024)

    assert len(data) > 2 * bits.RUN
    for size in (40_000, 1 << 20):
        assert counted(data, fields, size) == expected


@pytest.mark.parametrize("fields", [1, 2])
@pytest.mark.parametrize("record", [b"a,b\n", b'"a","b\n"\n'])
def test_what_follows_a_blocks_records_is_not_counted(record, fields):
    record = record if fields == 2 else record.replace(b",", b"")
    data = record * 100 + b'"half,a rec","x"\n'[: None if fields == 2 else 12] + b"\n"

    with opened(data) as [source_file]:
        file = csv_file(source_file, source(delimiter=","), NAMES[:fields])
        block = next(file_blocks(file, 0, len(data), len(record) * 100 + 8))
        assert (block.size, len(block.data)) == (len(record) * 100, len(record) * 100 + 8)
        assert count_records(block, file) == 100


def counted(data, fields, size):
    with opened(data) as [source_file]:
        file = csv_file(source_file, source(delimiter=","), NAMES[:fields])
        return sum(count_records(block, file) for block in file_blocks(file, 0, len(data), size))
