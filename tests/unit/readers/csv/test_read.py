import csv
import io
import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from shared.core.plan import Extent
from shared.errors import BadRow, InvalidEncoding, SchemaWidened, SourceChanged
from shared.spec.types import Field, Schema, parse_type
from tests.support.datasets import opened, read, rows, source, tables
from tests.support.native import path
from worker_service.readers import plan
from worker_service.readers.csv import scan


def read_as(data, types, *, spec=None, columns=None, start=None, batch_bytes=1 << 20, declared=False):
    """Rows of *data* under a schema that need not be the planned one."""
    schema = Schema(tuple(Field(name, parse_type(kind), declared) for name, kind in types.items()))
    begin = data.index(b"\n") + 1 if start is None else start
    with opened(data) as [file]:
        frames = list(
            read(
                file,
                Extent(0, begin, len(data), None),
                spec or source(delimiter=","),
                schema,
                columns or list(types),
                batch_bytes,
            )
        )
    return [tuple(row.values()) for frame in frames for row in frame.to_pylist()]


def test_frames_have_the_types_of_the_schema_and_only_the_used_columns():
    data = b"u,b,i,f,d,s,day,t,tz\nskip,true,1,.5,1.25,x,2024-01-02,2024-01-02 03:04,2024-01-02T03:04+01:00\n"
    spec = source({"d": "decimal(5,2)"})
    columns = ["tz", "t", "day", "d", "f", "i", "b"]
    [frame] = tables(data, spec=spec, columns=columns)
    assert frame.column_names == columns
    assert frame.schema.types == [
        pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.date32(), pa.decimal128(5, 2), pa.float64(),
        pa.int64(), pa.bool_(),
    ]  # fmt: skip
    assert frame.to_pylist()[0]["tz"] == datetime(2024, 1, 2, 2, 4, tzinfo=UTC)
    assert frame.to_pylist()[0]["d"] == Decimal("1.25")


def test_without_columns_rows_are_counted():
    data = b"a,b\n" + b'1,"x\ny"\n\n' * 100
    frames = tables(data, columns=[], batch_bytes=64)
    assert {tuple(frame.column_names) for frame in frames} == {("",)}
    assert {frame.column("").type for frame in frames} == {pa.bool_()}
    assert sum(frame.num_rows for frame in frames) == 100


def test_strings_are_encoded_where_values_repeat_and_plain_where_they_do_not():
    data = "few,many\n" + "".join(f"g{i % 7},v{i}\n" for i in range(1000))
    with path("off"):
        [frame] = tables(data.encode())
    assert frame.schema.types == [pa.dictionary(pa.int32(), pa.string()), pa.string()]
    assert frame.column("few").to_pylist() == [f"g{i % 7}" for i in range(1000)]


def test_an_empty_field_is_null_quoted_or_not_except_a_quoted_one_in_a_string_column():
    data = b'i,f,s\n,"",""\n"",,\n"1","2.5","NA"\nNA,"NA",NA\n,,x\n'
    spec = source(null_values=("NA",))
    assert rows(data, spec=spec) == [
        (None, None, ""),
        (None, None, None),
        (1, 2.5, "NA"),
        (None, None, None),
        (None, None, "x"),
    ]


def test_a_null_spelling_that_is_a_literal_is_null_quoted_or_not():
    assert rows(b'n,m\n-999,"-999"\n1,"2"\n', spec=source(null_values=("-999",))) == [(None, None), (1, 2)]


def test_quoted_spellings_of_null_are_as_pandas_reads_values_and_as_duckdb_tells_texts_apart(tmp_path):
    data = b'k,n,f,d\nNA,1,"NA",2024-01-02\n"NA","NA",1.5,"NA"\nx,NA,NA,NA\n'
    found = rows(data, spec=source(null_values=("NA",)))
    frame = pd.read_csv(io.BytesIO(data), na_values=["NA"], keep_default_na=False)
    for at, name in ((1, "n"), (2, "f")):
        assert [row[at] for row in found] == [None if pd.isna(v) else v for v in frame[name]]
    assert [row[3] is None for row in found] == list(frame["d"].isna())
    (tmp_path / "t.csv").write_bytes(data)
    query = "SELECT k FROM read_csv(?, nullstr='NA', allow_quoted_nulls=false, all_varchar=true)"
    texts = duckdb.execute(query, [str(tmp_path / "t.csv")]).fetchall()
    assert [row[0] for row in found] == [text for (text,) in texts] == [None, "NA", "x"]
    own = source({"k": {"type": "string", "null_values": ["NA"]}})
    assert [row[0] for row in rows(data, spec=own, columns=["k"])] == [None, None, "x"]


def test_an_empty_line_is_no_record_unless_records_have_one_field():
    assert rows(b"a,b\n\n1,2\r\n\r\n\n3,4\n\n") == [(1, 2), (3, 4)]
    assert rows(b"a\n1\n\n3\n") == [(1,), (None,), (3,)]


def test_a_lone_carriage_return_ends_a_record():
    assert rows(b"a,b\r1,2\r3,4\r") == [(1, 2), (3, 4)]
    assert rows(b"a,b\r\r\n1,2\r\r\n3,4") == [(1, 2), (3, 4)]


@pytest.mark.parametrize("batch_bytes", [1, 7, 64, 1000])
def test_carriage_return_line_feed_inside_quotes_survives_at_every_offset_around_a_cut(batch_bytes):
    values = ["x" * i + "\r\n" + "y" * (40 - i) for i in range(40)]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["v", "n"], *([value, i] for i, value in enumerate(values))])
    found = rows(text.getvalue().encode(), chunk_bytes=batch_bytes * 3, batch_bytes=batch_bytes)
    assert found == [(value, i) for i, value in enumerate(values)]


def test_other_delimiters_and_quotes_are_obeyed():
    assert rows(b"a;b\n'x;''\n';1\n", spec=source(delimiter=";", quote="'")) == [("x;'\n", 1)]
    assert rows(b'a\tb\n5" pipe\t1\n', spec=source(delimiter="\t", quote="'")) == [('5" pipe', 1)]


def test_a_field_larger_than_a_batch_is_read_whole():
    big = "x\n" * 50_000
    assert rows(f'a,b\n1,"{big}"\n2,y\n'.encode(), batch_bytes=100) == [(1, big), (2, "y")]


def test_a_record_without_an_end_is_refused_before_memory_runs_out(monkeypatch):
    monkeypatch.setattr(scan, "MAX_RECORD", 1000)
    with pytest.raises(
        BadRow,
        match=r"byte 4, line 2: the record at byte 4 is longer than the limit of 1,000 bytes: .*; "
        "the record is '1,xxx",
    ):
        rows(b"a,b\n1," + b"x" * 2000 + b"\n2,y\n", batch_bytes=100, chunk_bytes=2)
    with pytest.raises(BadRow, match="the record at byte 4 is longer"):
        read_as(b"a,b\n1," + b"x" * 2000 + b"\n", {"a": "int64", "b": "string"}, batch_bytes=100)


@pytest.mark.parametrize(("record", "count"), [(b"1", 1), (b"1,2,3", 3), (b'1,"a,b\n",', 3)])
def test_a_ragged_record_is_named_by_offset_line_and_text(record, count):
    data = b'a,b\n1,"x\ny"\n\n' + record + b"\n2,3\n"
    with pytest.raises(
        BadRow, match=rf"t0: byte 13, line 5: {count} fields? instead of 2; the record is"
    ) as caught:
        rows(data)
    assert repr(record.decode()) in caught.value.detail


def test_a_misfit_of_a_declared_column_is_a_bad_row_with_everything_needed_to_find_it():
    data = b"a,b\n" + b"1,2\n" * 999 + b'"7\n",8\n5,007\n6,x\n'
    spec = source({"b": "int64", "a": "string"})
    with pytest.raises(BadRow) as caught:
        rows(data, spec=spec, chunk_bytes=1000, batch_bytes=300)
    told = "file:///data/t0: byte 4007, line 1003: column 'b': '007' is no int64; the record is '5,007'"
    assert caught.value.detail.startswith(f'{told}; write {{"b": {{"type": "int64", "lenient": true')


def test_the_first_bad_row_is_named_and_in_it_the_first_column():
    types = {"a": "int64", "b": "decimal(3,1)"}
    with pytest.raises(BadRow, match="line 3: column 'a': 'x' is no int64"):
        read_as(b"a,b\n1,1\nx,y\nz,z\n", types, declared=True)
    with pytest.raises(BadRow, match=r"line 2: column 'b': '1.25' is no decimal\(3,1\)"):
        read_as(b"a,b\n1,1.25\nx,y\n", types, declared=True)


def test_undeclared_misfits_name_every_column_and_the_narrowest_kind_for_the_whole_block():
    types = {"i": "int64", "f": "int64", "b": "bool", "d": "date", "ok": "int64"}
    data = b"i,f,b,d,ok\n1,2.5,maybe,2024-01-02,1\n007,1,true,2024-01-02 03:04,2\n"
    with pytest.raises(SchemaWidened) as caught:
        read_as(data, types)
    assert caught.value.widen == {"i": "string", "f": "float64", "b": "string", "d": "timestamp"}
    assert caught.value.detail == (
        "'i' has '007' in the record at byte 36, 'f' has '2.5' in the record at byte 11, "
        "'b' has 'maybe' in the record at byte 11, "
        "'d' has '2024-01-02 03:04' in the record at byte 36 of file:///data/t0"
    )


def test_a_widening_names_the_value_that_needs_the_type_and_not_one_that_needs_less():
    with pytest.raises(SchemaWidened) as caught:
        read_as(b"n\n1\n1.5\n2\nNA\n", {"n": "int64"})
    assert caught.value.detail == "'n' has 'NA' in the record at byte 10 of file:///data/t0"


def test_misfits_of_unused_columns_do_not_matter():
    assert read_as(b"a,b\nx,1\n\xff,2\n", {"a": "int64", "b": "int64"}, columns=["b"]) == [(1,), (2,)]


def test_raw_text_is_cut_at_200_characters():
    with pytest.raises(BadRow) as caught:
        read_as(b"a\n" + b"x" * 5000 + b"\n", {"a": "int64"}, declared=True)
    assert len(caught.value.detail) < 550


def test_bytes_that_are_not_utf8_are_named_with_the_cure():
    data = b"a,b\n" + b"1,2\n" * 50 + b"3,caf\xe9\n"
    with pytest.raises(
        InvalidEncoding,
        match=r"byte 204, line 52: column 'b': byte 209: 0xe9 is not utf-8; set csv\.encoding to .*; "
        r"the record is '3,caf\\\\xe9'",
    ):
        read_as(data, {"a": "int64", "b": "string"}, batch_bytes=64)


def test_a_nul_byte_is_refused_with_its_place():
    with pytest.raises(
        BadRow, match=r"byte 8, line 3: column 'b': a NUL byte at byte 10; the record is '2,\\\\x00'"
    ):
        rows(b"a,b\n1,2\n2,\0\n3,4\n")


def test_a_file_that_became_shorter_is_noticed():
    with opened(b"a,b\n1,2\n3,4\n") as [file]:
        longer = replace(file, size=file.size + 10)
        schema = plan([file], source(), 100).schema
        with pytest.raises(SourceChanged):
            list(read(longer, Extent(0, 4, longer.size, None), source(delimiter=","), schema, ["a"], 100))


def test_numbers_and_strings_equal_those_of_pandas():
    rng = random.Random(5)
    words = ["", "NA", "null", "a,b", 'q"q', "l\nl", "é", " x ", "007", "1e5"]
    table = [
        [rng.choice(words), rng.randrange(-(10**12), 10**12), rng.uniform(-1e9, 1e9), rng.random() < 0.5]
        for _ in range(3000)
    ]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows([["s", "i", "f", "b"], *table])
    data = text.getvalue().encode()
    oracle = pd.read_csv(io.BytesIO(data), keep_default_na=False)
    found = pa.concat_tables(
        [
            t.cast(pa.schema([("s", pa.string()), *list(t.schema)[1:]]))
            for t in tables(data, chunk_bytes=5000, batch_bytes=999)
        ]
    )
    assert found.column("s").to_pylist() == oracle["s"].tolist()
    assert found.column("i").to_pylist() == oracle["i"].tolist()
    assert found.column("f").to_pylist() == oracle["f"].tolist()
    assert found.column("b").to_pylist() == oracle["b"].tolist()
