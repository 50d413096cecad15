"""However a CSV file is cut, the same records are bad: those that the csv module finds."""

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.spec.models import Options
from shared.spec.types import Field, Schema, parse_type
from tests.property.test_csv_chunking import opened
from tests.support.datasets import source
from worker_service.child.bad_rows import BadRows
from worker_service.readers import batches, plan

HEADER = "k,n\n"
SCHEMA = Schema((Field("k", parse_type("string")), Field("n", parse_type("int64"), declared=True)))
SPEC = source({"k": "string", "n": "int64"}, delimiter=",")
GOOD = ["a,1", "b,-7", '"x\n,y",2', ",", 'é,"3"', '5" pipe,4']
BAD = ["a,x", "b", "c,1,2", '"p\nq",007', '"r\n"', "d,1 ", '"s,""t""",+1', "é,é"]
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def documents(draw):
    records = draw(st.lists(st.sampled_from([*GOOD, *GOOD, *BAD]), max_size=14))
    end = draw(ENDS)
    blank = st.sampled_from(["", "", "", end])
    text = HEADER + "".join(draw(blank) + record + end for record in records)
    return text if draw(st.booleans()) else text.removesuffix(end)


def expected(text):
    """The good rows, and the line and byte of each bad one, by the csv module."""
    good, bad = [], []
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, strict=True)
    next(reader)
    before = reader.line_num
    for row in reader:
        first, before = before, reader.line_num
        if row and not fits(row):
            bad.append(first + 1)
        elif row:
            good.append((row[0] or None, int(row[1]) if row[1] else None))
    return good, bad


def fits(row):
    return len(row) == 2 and (not row[1] or str_is_int(row[1]))


def str_is_int(text):
    try:
        return str(int(text)) == text
    except ValueError:
        return False


def found(file, chunk_bytes, batch_bytes):
    """The good rows, and the bad ones with the lines that a job gives them when all chunks are done."""
    good, bad, before = [], [], 0
    for extents in plan([file], SPEC, chunk_bytes).extents:
        rows, folded = BadRows(Options(on_bad_row="quarantine")), 0
        for extent in extents:
            rows.begin(extent.rows)
            for table in map(rows.take, batches(file, extent, SPEC, SCHEMA, ["k", "n"], batch_bytes)):
                good += list(zip(*(table.column(name).to_pylist() for name in "kn"), strict=True))
                folded += table.num_rows
        assert rows.counts.read == folded + rows.counts.quarantined
        bad += [
            (row, before + sum(rows.lines[: row.extent]) + row.line_of_extent) for row in rows.quarantined
        ]
        before += sum(rows.lines)
    return good, bad


@settings(max_examples=40)
@given(documents(), st.integers(1, 60), st.integers(1, 60))
def test_the_same_records_are_bad_for_any_chunks_and_batches(text, chunk_bytes, batch_bytes):
    data = text.encode()
    good, lines = expected(text)
    with opened(data) as file:
        rows, bad = found(file, chunk_bytes, batch_bytes)
        _, whole = found(file, len(data) + 1, len(data) + 1)
    assert rows == good
    assert [line for _, line in bad] == lines
    assert [(replace(row, extent=0, line_of_extent=line), line) for row, line in bad] == whole
    for row, line in bad:
        assert data[row.byte :].startswith(row.record.encode())
        assert data.count(b"\n", 0, row.byte) == line - 1
