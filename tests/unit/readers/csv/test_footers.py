"""Records of another width at the end of a file: the error tells the `skip_footer` that passes over them."""

import gzip
import re

import pytest

from shared.errors import BadRow
from tests.support.datasets import rows, source, tables

GOOD = b"".join(b"k%d,%d\n" % (i, i) for i in range(300))
ROWS = [(f"k{i}", i) for i in range(300)]
FOOTERS = {
    b"Total rows: 5": 1,
    b"Total rows: 5\n": 1,
    b"Total rows: 5\r\n\r\n": 2,
    b"\nTotal\nend of file\n": 2,
    b"a,b,c,d\n\nNote\n\n": 4,
    b'"a note\nof two lines"\n': 2,
}


def advice(data, **options):
    with pytest.raises(BadRow) as raised:
        tables(data, **options)
    return raised.value.detail


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("footer", "lines"), FOOTERS.items())
def test_the_number_of_lines_is_told_and_passes_over_the_footer(footer, lines, pack):
    data = pack(b"k,n\n" + GOOD + footer)
    for chunk_bytes, batch_bytes in ((1 << 20, 1 << 20), (1 << 20, 700), (500, 700)):
        told = advice(data, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes)
        [found] = re.findall(r"if no records begin there, set csv.skip_footer to (\d+)", told)
        assert int(found) == lines
    assert rows(data, spec=source(skip_footer=lines)) == ROWS


def test_lines_that_are_passed_over_already_are_counted_too():
    told = advice(b"k,n\n" + GOOD + b"Total\nNote\n", spec=source(skip_footer=1))
    assert told.endswith("set csv.skip_footer to 2")


@pytest.mark.parametrize("data", [b"x\n" + GOOD, GOOD + b"x\n" + GOOD, GOOD + b"x\n" * 20])
def test_a_bad_record_with_good_ones_behind_it_or_with_many_is_no_footer(data):
    assert "skip_footer" not in advice(b"k,n\n" + GOOD + data)
