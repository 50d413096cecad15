"""Records of CSV: Python's csv module is the judge, but for nulls, which it takes for empty texts."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from gristmill.client.csv_cells import Records

TEXTS = st.text(st.sampled_from('ab",\r\né😀 '), max_size=6)


def written(rows: list[list[str | None]]) -> str:
    """As the service writes it: a null is an empty field, a text may always be quoted."""
    return "".join(",".join(map(cell_of, row)) + "\r\n" for row in rows)


def cell_of(text: str | None) -> str:
    return "" if text is None else '"' + text.replace('"', '""') + '"'


@given(
    st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(st.none() | TEXTS, min_size=n, max_size=n))),
    st.data(),
)
def test_records_come_out_as_they_went_in_wherever_the_bytes_are_cut(rows, data):
    text = written(rows)
    stream, records, found, at = text.encode(), Records(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 9))
        found += records.fed(stream[at : at + size])
        at += size

    assert found == rows
    judged = [*csv.reader(io.StringIO(text, newline=""))] if rows else []
    assert [row or [""] for row in judged] == [[cell or "" for cell in row] for row in rows]
