import io
from datetime import datetime
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from shared.errors import BadRow, CorruptFile, GristmillError, NotSupported, SchemaConflict
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, rows, schema_of, source, tables
from worker_service.readers import plan

TABLE = pa.table({
    "i": pa.array(range(10), pa.int16()),
    "s": pa.array([f"k{i % 3}" if i % 4 else None for i in range(10)]),
    "d": pa.array(["u", "v"] * 5).dictionary_encode(),
    "user": [{"id": i, "tag": {"x": str(i)}} if i else None for i in range(10)],
    "m": pa.array([Decimal(i) / 4 for i in range(10)], pa.decimal128(9, 2)),
    "l": [[i] for i in range(10)],
})  # fmt: skip
ROWS = [
    (
        row["i"],
        row["s"],
        row["d"],
        row["user"] and row["user"]["id"],
        row["user"] and row["user"]["tag"]["x"],
        row["m"],
    )
    for row in TABLE.to_pylist()
]


def arrow(table, *, stream=False, rows_each=4, **options):
    out = io.BytesIO()
    kind = pa.ipc.new_stream if stream else pa.ipc.new_file
    with kind(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows_each)
    return out.getvalue()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_files_and_streams_hold_what_was_written_at_any_chunk_and_batch_size(stream, compression):
    data = arrow(TABLE, stream=stream, compression=compression)
    assert schema_of(data) == {
        "i": "int64", "s": "string", "d": "string", "user.id": "int64", "user.tag.x": "string",
        "m": "decimal(9,2)",
    }  # fmt: skip
    for chunk_bytes, batch_bytes in ((1, 1), (1000, 100), (1 << 30, 1 << 20)):
        assert rows(data, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes) == ROWS
    assert rows(data, columns=["m", "i"]) == [(row[5], row[0]) for row in ROWS]
    assert sum(frame.num_rows for frame in tables(data, columns=[])) == 10


def test_a_file_that_another_engine_wrote_is_read():
    frame = pl.DataFrame(
        {"a": [1, None, 3], "b": ["x", "y", None], "c": [datetime.fromisoformat("2024-01-02")] * 3}
    )
    for write in (frame.write_ipc, frame.write_ipc_stream):
        out = io.BytesIO()
        write(out)
        assert rows(out.getvalue()) == frame.rows()


def test_record_batches_become_chunks_with_their_rows():
    data = arrow(TABLE)
    with opened(data) as files:
        [[a], [b], [c]] = plan(files, source(), 1).extents
        assert [(e.start, e.end, e.rows) for e in (a, b, c)] == [(0, 1, 4), (1, 2, 4), (2, 3, 2)]
        assert [extent.rows for [extent] in plan(files, source(), 1 << 30).extents] == [10]


def test_a_bad_row_has_its_number_in_the_file():
    values = pa.array([1, 2, 3, 4, 5, 2**63, 7], pa.uint64())
    for stream in (False, True):
        data = arrow(pa.table({"n": values}), stream=stream, rows_each=3)
        with pytest.raises(
            BadRow, match="file:///data/t0, row 6: column 'n': '9223372036854775808' is no int64"
        ):
            rows(data, chunk_bytes=1)


def test_a_dictionary_with_equal_words_means_the_same_as_one_without():
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None], pa.int8()), pa.array(["a", "a", "b"]))
    data = arrow(pa.table({"k": twice}))
    [table] = tables(data)
    assert table.column(0).to_pylist() == ["a", "a", "b", None]
    assert table.column(0).chunk(0).dictionary.to_pylist() == ["a", "b"]


def test_types_of_files_are_joined():
    one, two = arrow(pa.table({"a": [1]})), arrow(pa.table({"a": [0.5]}))
    assert rows(one, two) == [(1.0,), (0.5,)]
    with pytest.raises(SchemaConflict, match=r'column "a" is string in file:///data/t1 and int64 before it'):
        schema_of(one, arrow(pa.table({"a": ["x"]})))


@pytest.mark.parametrize("stream", [False, True])
def test_a_damaged_file_is_corrupt_wherever_it_is_cut(stream):
    data = arrow(TABLE, stream=stream)
    with pytest.raises(CorruptFile, match="file:///data/t0: the Arrow IPC data cannot be read"):
        rows(data[: len(data) // 2])


def test_claims_of_a_footer_that_lead_nowhere_are_corrupt():
    data = arrow(TABLE)
    footer = len(data) - 10 - int.from_bytes(data[-10:-6], "little")
    for at in range(footer, len(data) - 10, 4):
        try:
            rows(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :], batch_bytes=1 << 20)
        except (GristmillError, MemoryError):
            continue


def uses_of(name):
    return Uses((Mention((), name, value=True),))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [((5, -2), (7, 0)), ((3, 5), (5, 5)), ((36, -2), (38, 0)), ((38, -3), None)],
)
def test_a_decimal_of_another_scale_is_told_the_type_that_holds_its_values_and_it_is_read(found, wanted):
    values = [Decimal(12).scaleb(-found[1]), None]
    stored = pa.py_buffer((12).to_bytes(16, "little") + bytes(16))
    odd = pa.Array.from_buffers(pa.decimal128(*found), 2, [pa.py_buffer(b"\1"), stored])
    with opened(arrow(pa.table({"d": odd}))) as files, pytest.raises(NotSupported) as raised:
        plan(files, source(), 1000, uses=uses_of("d"))
    if wanted is None:
        assert raised.value.detail.endswith(
            "write it with at most 38 digits and a scale of 0 or more, or as text"
        )
        return
    told = "write it as decimal({},{}), which holds the same values".format(*wanted)
    assert raised.value.detail.endswith(told)
    mended = pa.table({"d": pa.array(values, pa.decimal128(*wanted))})
    assert [value for (value,) in rows(arrow(mended))] == values
