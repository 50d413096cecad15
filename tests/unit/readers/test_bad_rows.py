"""Bad rows are values of the batch in which they are found, and the reader goes on behind it."""

import gzip
import io
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared import errors
from shared.core.plan import Extent
from shared.spec.types import Field, Schema, parse_type
from tests.support.datasets import opened, source
from worker_service.readers import RecordCount, batches, plan, read

HEAD = b"a,b\n"
SCHEMA = Schema((Field("a", parse_type("string")), Field("b", parse_type("int64"), declared=True)))


def found(data, batch_bytes, spec=None):
    with opened(data) as [file]:
        extent = Extent(0, len(HEAD), len(data))
        return list(batches(file, extent, spec or source(delimiter=","), SCHEMA, ["a", "b"], batch_bytes))


def bad_rows(data):
    """Each with its error."""
    with opened(data) as [file]:
        extent = Extent(0, len(HEAD), len(data))
        read_back = batches(file, extent, source(delimiter=","), SCHEMA, ["a", "b"], 1 << 20)
        return [(row, row.error()) for batch in read_back for row in batch.bad_rows]


@pytest.mark.parametrize(
    ("record", "column", "reason", "raw"),
    [
        (b"x,007", "b", "'007' is no int64", "x,007"),
        (b"1,2,3", None, "3 fields instead of 2", "1,2,3"),
        (b"x,\0", "b", "a NUL byte at byte 14", "x,\0"),
    ],
)
def test_a_bad_row_says_where_its_record_begins_and_which_column_is_at_fault(record, column, reason, raw):
    [(row, error)] = bad_rows(HEAD + b"a,1\nb,2\n" + record + b"\nc,3\n")
    assert (row.uri, row.byte, row.row) == ("file:///data/t0", 12, None)
    assert (row.column, row.reason, row.raw, row.unreadable) == (column, reason, raw, False)
    assert isinstance(error, errors.BadRow)
    assert error.detail.startswith("file:///data/t0: byte 12, line 4: ")


def test_unreadable_text_is_a_bad_row_whose_error_is_that_of_the_encoding():
    [(row, error)] = bad_rows(HEAD + b"a,1\n\xe9,2\n")
    assert (row.byte, row.column, row.raw, row.unreadable) == (8, "a", "\\xe9,2", True)
    assert isinstance(error, errors.InvalidEncoding)


def test_batches_around_one_with_a_bad_row_are_read():
    data = HEAD + b"a,1\n" * 5 + b"b,x\n" + b"c,3\n" * 5
    read_back = found(data, batch_bytes=4)
    assert [len(batch.bad_rows) for batch in read_back] == [0] * 5 + [1] + [0] * 5
    assert [batch.table.num_rows for batch in read_back] == [1] * 5 + [0] + [1] * 5
    assert sum(batch.records for batch in read_back) == 11


def test_a_bad_row_of_a_stream_is_located_in_its_data():
    with opened(gzip.compress(HEAD + b"a,1\nb,x\n")) as [file]:
        read_back = batches(file, Extent(0, 0, file.size), source(delimiter=","), SCHEMA, ["a", "b"], 1000)
        [row] = [row for batch in read_back for row in batch.bad_rows]
    assert row.byte == 8


def test_bytes_without_a_provable_record_end_are_an_error_and_no_bad_row():
    for record in (b'"x"y,1\n', b'"x,1\n', b"x,1\\"):
        with pytest.raises(errors.BadRow, match="byte 8, line 3"):
            found(HEAD + b"a,1\n" + record, 4, source(delimiter=",", escape="\\"))


def test_the_first_bad_row_in_file_order_fails_the_reading_of_tables():
    data = HEAD + b"a,1\nb,x\nc,y\n"
    count = RecordCount()
    with opened(data) as [file]:
        tables = read(file, Extent(0, 4, len(data)), source(delimiter=","), SCHEMA, ["b"], 4, count)
        assert next(tables).num_rows == 1
        with pytest.raises(errors.BadRow, match="line 3: column 'b': 'x' is no int64; the record is 'b,x'"):
            next(tables)
    assert count.records == 1


def test_a_bad_row_of_parquet_has_its_number_in_the_file():
    far = pa.array([0, 0, 2**61], pa.timestamp("us"))
    out = io.BytesIO()
    pq.write_table(pa.table({"t": far, "n": [1, 2, 3]}), out, row_group_size=2)
    with opened(out.getvalue()) as [file]:
        planned = plan([file], source(), 1 << 20)
        [[extent]] = planned.extents
        read_back = list(batches(file, extent, source(delimiter=","), planned.schema, ["n", "t"], 1 << 20))
    assert read_back[0].table.column("t").to_pylist() == [datetime.fromisoformat("1970-01-01")] * 2
    [row] = [row for batch in read_back for row in batch.bad_rows]
    assert (row.row, row.byte, row.column, row.raw) == (3, None, "t", None)
    assert str(row.error()).startswith("file:///data/t0, row 3: column 't': ")
