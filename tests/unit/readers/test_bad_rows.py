"""Bad rows are values of the batch in which they are found, and the reader goes on behind it."""

import gzip
import io
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared import errors
from shared.core.plan import Extent
from shared.spec.types import Field, Schema, parse_type
from tests.support import datasets
from tests.support.datasets import RecordCount, opened, read
from worker_service.readers import batches, plan
from worker_service.readers.batch import RECORD_BYTES, Batch, Fault, numbered

source = partial(datasets.source, delimiter=",")
HEAD = b"a,b\n"
SCHEMA = Schema((Field("a", parse_type("string")), Field("b", parse_type("int64"), declared=True)))


def found(data, batch_bytes=1 << 20, spec=None, columns=("a", "b")):
    with opened(data) as [file]:
        extent = Extent(0, len(HEAD), len(data))
        return list(batches(file, extent, spec or source(delimiter=","), SCHEMA, list(columns), batch_bytes))


def bad_rows(data, spec=None):
    """Each with its error."""
    with opened(data) as [file]:
        extent = Extent(0, len(HEAD), len(data))
        read_back = batches(file, extent, spec or source(delimiter=","), SCHEMA, ["a", "b"], 1 << 20)
        return [(row, row.error()) for batch in read_back for row in batch.bad_rows()]


@pytest.mark.parametrize(
    ("record", "column", "reason", "value", "text"),
    [
        (b"x,007", "b", "'007' is no int64", "007", "x,007"),
        (b"1,2,3", None, "3 fields instead of 2", None, "1,2,3"),
        (b"1", None, "1 field instead of 2", None, "1"),
        (b"x,\0", "b", "a NUL byte at byte 14", r"\x00", r"x,\x00"),
        (b"x\0,1", "a", "a NUL byte at byte 13", r"x\x00", r"x\x00,1"),
    ],
)
def test_a_bad_row_says_where_its_record_begins_and_which_column_is_at_fault(
    record, column, reason, value, text
):
    [(row, error)] = bad_rows(HEAD + b"a,1\nb,2\n" + record + b"\nc,3\n")
    assert (row.uri, row.byte, row.row, row.lines_before()) == ("file:///data/t0", 12, None, 2)
    assert (row.record, row.fault[:3]) == (text, (reason, column, value))
    assert isinstance(error, errors.BadRow)
    assert error.detail.startswith("file:///data/t0: byte 12, line 4: ")
    place = {"uri": "file:///data/t0", "byte": 12, "line": 4}
    known = {"column": column, "value": value} if column else {}
    assert error.errors == [{"detail": reason, **place, **known}]


@pytest.mark.parametrize(
    ("encoding", "record", "value", "reason"),
    [
        ("utf-8", b"\xe9,2", r"\xe9", "byte 8: 0xe9 is not utf-8"),
        ("utf-8", b"h\xc3,2", r"h\xc3", "byte 9: 0xc3 is not utf-8"),
        ("cp949", b"\xb0\xa1\xff,2", r"가\xff", "byte 10: 0xff is not cp949"),
        ("utf-8", b"x,\xff", r"\xff", "byte 10: 0xff is not utf-8"),
    ],
)
def test_unreadable_text_in_a_used_column_is_a_bad_row_whose_error_is_that_of_the_encoding(
    encoding, record, value, reason
):
    [(row, error)] = bad_rows(HEAD + b"a,1\n" + record + b"\n", source(encoding=encoding))
    assert (row.byte, row.fault.value, row.fault.unreadable) == (8, value, True)
    usual = ', often "windows-1252"' if encoding == "utf-8" else ""
    assert row.fault.reason == f"{reason}; set csv.encoding to the encoding of the files{usual}"
    assert isinstance(error, errors.InvalidEncoding)


def test_unreadable_text_in_another_column_is_no_fault():
    [batch] = found(HEAD + b"\xff,1\n\0,2\n", columns=["b"])
    assert (batch.table.column("b").to_pylist(), batch.bad.rows.size) == ([1, 2], 0)


def test_unreadable_text_in_a_record_of_too_many_fields_is_no_other_fault():
    [(row, _)] = bad_rows(HEAD + b"a,1\n\xff,2,3\nb,2\n")
    assert (row.fault.reason, row.record) == ("3 fields instead of 2", r"\xff,2,3")


def test_the_good_rows_around_bad_ones_are_read():
    data = HEAD + b'a,1\nb,x\n\n"c\nc",3\nd\n\xff,4\ne,5\nf,6,7\n'
    [batch] = found(data)
    assert batch.table.to_pylist() == [{"a": "a", "b": 1}, {"a": "c\nc", "b": 3}, {"a": "e", "b": 5}]
    assert (batch.records, batch.lines()) == (7, 9)
    assert [(row.byte, row.lines_before()) for row in batch.bad_rows()] == [
        (8, 1), (21, 5), (23, 6), (31, 8)
    ]  # fmt: skip


def test_a_row_with_several_faults_has_the_first_of_them():
    """The number of fields, then the columns in use in their order."""
    schema = Schema(tuple(Field(name, parse_type("int64"), declared=True) for name in "ba"))
    data = HEAD + b"x,y\nx,y,z\n"
    with opened(data) as [file]:
        [batch] = batches(file, Extent(0, 4, len(data)), source(), schema, ["b", "a"], 99)
    assert [row.fault.reason for row in batch.bad_rows()] == ["'y' is no int64", "3 fields instead of 2"]


def test_a_bad_row_does_not_widen_a_column():
    schema = Schema((Field("a", parse_type("int64")), Field("b", parse_type("int64"), declared=True)))
    data = HEAD + b"1,1\nx,y\nz,1,1\n\xff,1\n2,2\n"
    with opened(data) as [file]:
        [batch] = batches(file, Extent(0, 4, len(data)), source(), schema, ["a", "b"], 99)
        assert batch.table.column("a").to_pylist() == [1, 2]
        assert batch.bad.rows.tolist() == [1, 2, 3]
    data += b"x,3\n"
    with (
        opened(data) as [file],
        pytest.raises(errors.SchemaWidened, match=r"'a' has 'x' in .* byte 26") as raised,
    ):
        list(batches(file, Extent(0, 4, len(data)), source(), schema, ["a", "b"], 99))
    assert raised.value.widen == {"a": "string"}


def test_batches_around_one_with_a_bad_row_are_read():
    data = HEAD + b"a,1\n" * 5 + b"b,x\n" + b"c,3\n" * 5
    read_back = found(data, batch_bytes=4)
    assert [len(batch.bad.rows) for batch in read_back] == [0] * 5 + [1] + [0] * 5
    assert [batch.table.num_rows for batch in read_back] == [1] * 5 + [0] + [1] * 5
    assert sum(batch.records for batch in read_back) == 11


def test_a_file_of_bad_rows_only_has_all_of_them():
    data = HEAD + b"1\n" * 700 + b"1,2,3\n"
    [batch] = found(data)
    assert (batch.table.num_rows, batch.records, len(list(batch.bad_rows()))) == (0, 701, 701)
    assert [row.byte for row in batch.bad_rows()] == [4 + 2 * i for i in range(701)]


def test_short_records_are_padded_where_the_spec_says_so_and_long_ones_are_bad():
    spec = source().model_copy(
        update={"csv": source(delimiter=",").csv.model_copy(update={"short_rows": "null"})}
    )
    data = HEAD + b'a\n"b,\n",1\n\nc,2,3\n"d"\ne,x\nf'
    [batch] = found(data, spec=spec)
    assert batch.table.to_pylist() == [
        {"a": "a", "b": None}, {"a": "b,\n", "b": 1}, {"a": "d", "b": None}, {"a": "f", "b": None}
    ]  # fmt: skip
    assert batch.records == 6
    assert [(row.byte, row.record, row.fault.reason) for row in batch.bad_rows()] == [
        (15, "c,2,3", "3 fields instead of 2"),
        (25, "e,x", "'x' is no int64"),
    ]


def test_long_records_are_kept_in_part_and_whole_characters():
    [(row, error)] = bad_rows(HEAD + b"x," + "é".encode() * RECORD_BYTES + b"\n")
    assert (row.record, row.truncated) == ("x," + "é" * (RECORD_BYTES // 2 - 1), True)
    assert len(error.detail) < 1000
    [(row, _)] = bad_rows(HEAD + b"x," + b"y" * (RECORD_BYTES - 2) + b"\n")
    assert (len(row.record), row.truncated) == (RECORD_BYTES, False)


def test_a_bad_row_of_a_stream_is_located_in_its_data():
    with opened(gzip.compress(HEAD + b"a,1\nb,x\n")) as [file]:
        extent = Extent(0, 0, file.size)
        [batch] = batches(file, extent, source(delimiter=","), SCHEMA, ["a", "b"], 1000)
        [error] = [row.error() for row in batch.bad_rows()]
        assert error.detail.startswith("file:///data/t0: byte 8 of the decompressed data, line 3: column 'b'")
        assert batch.lines_before() == 1


def test_the_lines_before_an_extent_are_those_of_the_header_if_it_is_the_first_of_its_file():
    data = b'"a\n",b\n1,2\n3,4\n'
    with opened(data) as [file]:
        read_back = [
            batches(file, Extent(0, start, 15), source(delimiter=","), SCHEMA, ["b"], 4) for start in (7, 11)
        ]
        assert [[batch.lines_before() for batch in found] for found in read_back] == [[2, 0], [0]]


def test_bytes_without_a_provable_record_end_are_an_error_and_no_bad_row():
    for record in (b'"x"y,1\n', b'"x,1\n', b"x,1\\"):
        with pytest.raises(errors.BadRow, match="byte 8, line 3") as raised:
            found(HEAD + b"a,1\n" + record, 4, source(delimiter=",", escape="\\"))
        assert {key: raised.value.errors[0][key] for key in ("byte", "line")} == {"byte": 8, "line": 3}


def test_a_bad_row_without_a_cure_of_its_own_is_told_how_to_keep_such_rows_aside():
    schema = Schema((Field("b", parse_type("int64"), declared=True),))
    for head, row in ((HEAD, b"1,2,3"), (HEAD, b"1"), (b"", b'{"b": 1'), (b"", b'{"b": "x"}')):
        data = head + row + b"\n"
        spec = source() if head else source(file_format="ndjson", delimiter="auto")
        with opened(data) as [file], pytest.raises(errors.BadRow) as raised:
            list(read(file, Extent(0, len(head), len(data)), spec, schema, ["b"], 1 << 20))
        assert raised.value.detail.endswith(
            '; set options.on_bad_row to "quarantine" to keep such rows aside'
        )
    with pytest.raises(errors.BadRow) as raised:
        found(HEAD + b'"x,1\n')
    assert "quarantine" not in raised.value.detail


def test_the_first_bad_row_in_file_order_fails_the_reading_of_tables():
    data = HEAD + b"a,1\nb,x\nc,y\n"
    count = RecordCount()
    with opened(data) as [file]:
        tables = read(file, Extent(0, 4, len(data)), source(), SCHEMA, ["b"], 4, count)
        assert next(tables).num_rows == 1
        with pytest.raises(errors.BadRow, match="line 3: column 'b': 'x' is no int64; the record is 'b,x'"):
            next(tables)


def test_rows_found_bad_later_leave_the_table_and_stand_among_the_others_in_file_order():
    [batch] = found(HEAD + b"a,1\nb,x\nc,3\nd,4\ne\nf,6\n")
    later = batch.without(np.array([True, False, True, False]), lambda row: Fault(f"row {row}", "b"))
    again = later.without(np.array([False, True]), lambda row: Fault(f"again {row}"))
    assert (again.table.column("a").to_pylist(), again.records) == (["c"], 6)
    assert [(row.byte, row.fault.reason) for row in again.bad_rows()] == [
        (4, "row 0"), (8, "'x' is no int64"), (16, "row 2"), (20, "1 field instead of 2"), (22, "again 1")
    ]  # fmt: skip
    assert later.without(np.array([False, False]), Fault) is later


def test_rows_of_a_file_that_numbers_them_are_bad_by_number():
    batch = Batch(pa.table({"a": [1, 2, 3]}), 3, numbered("file:///data/t0", 11))
    [row] = batch.without(np.array([False, True, False]), lambda row: Fault("is odd", "a")).bad_rows()
    assert row.row == 12
    assert row.error().errors == [{"detail": "is odd", "uri": "file:///data/t0", "row": 12, "column": "a"}]


def test_a_bad_row_of_parquet_has_its_number_in_the_file():
    far = pa.array([0, 0, 2**61], pa.timestamp("us"))
    out = io.BytesIO()
    pq.write_table(pa.table({"t": far, "n": [1, 2, 3]}), out, row_group_size=2)
    with opened(out.getvalue()) as [file]:
        planned = plan([file], source(), 1 << 20)
        [[extent]] = planned.extents
        read_back = list(batches(file, extent, source(), planned.schema, ["n", "t"], 1 << 20))
    assert read_back[0].table.column("t").to_pylist() == [datetime.fromisoformat("1970-01-01")] * 2
    [row] = [row for batch in read_back for row in batch.bad_rows()]
    assert (row.row, row.byte, row.fault.column, row.record) == (3, None, "t", None)
    assert str(row.error()).startswith("file:///data/t0, row 3: column 't': ")
