"""Blocks of CSV get the line ends of RFC 4180, and keep those in quotes."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from shared.db.row_lines import crlf

CELLS = st.text("a\",\n\r'é", max_size=6)


def written(rows: list[list[str]], line_end: str) -> bytes:
    """Every cell in quotes, or those that need them."""
    text = io.StringIO()
    for no, row in enumerate(rows):
        needed = csv.QUOTE_ALL if no % 2 or any("\r" in cell for cell in row) else csv.QUOTE_MINIMAL
        csv.writer(text, lineterminator=line_end, quoting=needed).writerow(row)
    return text.getvalue().encode()


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=6))
def test_the_ends_of_lines_become_cr_lf_and_nothing_else_changes(rows):
    assert crlf(written(rows, "\n")) == written(rows, "\r\n")


def test_a_block_of_quotes_is_as_quick_as_any_other():
    block = b'"' + b'""' * 4_000_000 + b'"\n'

    assert crlf(block) == block[:-1] + b"\r\n"
    assert crlf(b'"\n' + b'""' * 4_000_000 + b'"\n')[-2:] == b"\r\n"
