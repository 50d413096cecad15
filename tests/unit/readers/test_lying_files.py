"""Damaged files, and files whose own claims are false: an error of the file names claim and finding."""

import io
import struct
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import CorruptFile, LimitExceeded, NotSupported, SourceUnreadable
from tests.support import parquet_claims as claims
from tests.support.child_tasks import chunk_task, plan_task
from tests.support.datasets import RecordCount, opened, read, rows, schema_of, source, tables, zipped
from worker_service.child import tasks
from worker_service.readers import SourceFile, plan
from worker_service.readers.parquet import file as parquet_file
from worker_service.readers.parquet import read as parquet_read

THREE = struct.pack("<3i", 1, 2, 3)
PAGE = claims.page(THREE, 3)
COLUMNS = pytest.mark.parametrize("columns", [[], ["n"]], ids=["count", "column"])


@COLUMNS
def test_a_file_written_by_hand_is_read(columns):
    assert len(rows(claims.file((PAGE, 3, 3), (PAGE + PAGE, 6, 6)), columns=columns)) == 9


@pytest.mark.parametrize("claimed", [2**40, 2**62, -5])
def test_more_rows_than_so_many_bytes_can_hold_are_refused_when_the_file_is_planned(claimed):
    data = claims.file((PAGE, 3, 3), (PAGE, claimed, 3), padding=b"\0" * 600)
    with pytest.raises(
        CorruptFile, match=rf"t0: row group 1 claims {claimed:,} rows, in a file of {len(data):,} bytes$"
    ):
        schema_of(data)


# fault matrix: 53
@COLUMNS
@pytest.mark.parametrize("values", [10**9, 3])
def test_rows_are_counted_as_they_are_decoded(columns, values):
    message = (
        "1,000,000,000 rows; its pages hold 3$"
        if values != 3
        else '1,000,000,000 rows and 3 values of column "n"$'
    )
    data = claims.file((PAGE, 3, 3), (PAGE, 10**9, values))
    with opened(data) as [file]:
        planned = plan([file], source(), 1)
        first, second = (extent for [extent] in planned.extents)
        assert (
            sum(frame.num_rows for frame in read(file, first, source(), planned.schema, columns, 1 << 20))
            == 3
        )
        with pytest.raises(CorruptFile, match=f"t0: row group 1 claims {message}"):
            list(read(file, second, source(), planned.schema, columns, 1 << 20))


@COLUMNS
def test_a_row_group_that_holds_more_than_it_claims_moves_no_row_of_another(columns):
    data = claims.file((PAGE, 2, 2), (PAGE, 3, 3))
    assert (
        rows(data, columns=columns, chunk_bytes=1)
        == rows(data, columns=columns)
        == rows(data, columns=columns, batch_bytes=4)
    )
    assert len(rows(data, columns=columns)) == 5


@pytest.mark.parametrize(
    ("words", "indexes"),
    [([b"a", b"a", b"b", b"c"], [0, 1, 2, 2]), ([b"a", b"b", b"b"], [0, 1, 2]), ([b"", b"", b"c"], [1, 0])],
)
def test_a_dictionary_with_equal_words_is_refused_and_gives_no_other_words(words, indexes):
    pages, most = claims.dictionary(words, indexes), len(words)
    data = claims.file((pages, len(indexes), len(indexes)), kind=claims.TEXT)
    assert pq.read_table(io.BytesIO(data))["n"].to_pylist() == [words[index].decode() for index in indexes]
    with pytest.raises(
        CorruptFile,
        match=f't0: row group 0 has a dictionary of column "n" of {most} words, some of them equal',
    ):
        rows(data)
    assert len(rows(data, columns=[])) == len(indexes)


def test_a_dictionary_of_different_words_is_read_whichever_of_them_occur():
    pages = claims.dictionary([b"", b"b", b"c", b"d"], [2, 2, 0])
    assert rows(claims.file((pages, 3, 3), (pages, 3, 3), kind=claims.TEXT)) == [("c",), ("c",), ("",)] * 2


@COLUMNS
def test_a_page_that_claims_more_than_its_bytes_hold_is_corrupt(columns):
    data = claims.file((claims.page(THREE, 10**9), 10**9, 10**9))
    with pytest.raises(CorruptFile, match="t0: the Parquet file cannot be read: Unexpected end of stream"):
        rows(data, columns=columns)


def test_many_rows_in_few_bytes_are_no_lie():
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": pa.array([7]).take(pa.array([0] * 500_000))}), sink, compression="zstd")
    data = sink.getvalue()
    assert len(data) < 3_000
    with opened(data) as [file]:
        planned, count = plan([file], source(), 1 << 30), RecordCount()
        [[extent]] = planned.extents
        frames = read(file, extent, source(), planned.schema, [], 1 << 20, count)
        assert sum(frame.num_rows for frame in frames) == count.records == 500_000


def test_rows_of_a_file_without_flat_columns_are_counted():
    sink = io.BytesIO()
    pq.write_table(pa.table({"l": [[1, 2], [], None, [3]], "m": [[{"a": 1}]] * 4}), sink)
    assert sum(frame.num_rows for frame in tables(sink.getvalue(), columns=[])) == 4


def test_a_file_that_claims_rows_of_no_column_is_corrupt():
    """No page can hold them."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": [1] * 4}).select([]), sink)
    assert schema_of(sink.getvalue()) == {}
    with pytest.raises(CorruptFile, match="t0: row group 0 claims 4 rows, in a file of"):
        schema_of(claims.file(([], 4, None)))


def test_a_footer_that_is_too_large_is_refused_before_it_is_unpacked(monkeypatch):
    data = claims.file((PAGE, 3, 3))
    monkeypatch.setattr(parquet_file, "MAX_FOOTER", 40)
    with pytest.raises(
        LimitExceeded,
        match="t0: the Parquet footer takes 57 bytes; the most is 40: write it with fewer row groups",
    ):
        schema_of(data)


def texts(data, **options):
    with pytest.raises(CorruptFile) as caught:
        rows(data, **options)
    assert caught.value.detail.startswith("file:///data/t0: the Parquet file cannot be read: ")
    return caught.value.detail


@pytest.mark.parametrize("kind", ["string", "int64"])
def test_an_index_past_its_dictionary_and_text_that_is_no_unicode_are_errors_of_the_file(kind):
    sink = io.BytesIO()
    pq.write_table(
        pa.table({"k": pa.array(["11", "22", "33", "22"] * 4)}),
        sink,
        compression="none",
        write_statistics=False,
    )
    data = bytearray(sink.getvalue())
    found = texts(bytes(data.replace(b"22", b"\xff2")), spec=source({"k": kind}))
    assert "UTF8" in found
    start = data.index(b"33") + 2
    refused = 0
    for at in range(start, start + 60):
        try:
            rows(bytes(data[:at]) + b"\xff" + bytes(data[at + 1 :]), spec=source({"k": kind}))
        except CorruptFile as error:
            refused += "out of bounds" in error.detail or "ndex not in dictionary" in error.detail
    assert refused


# --- zip ---

CSV = b"a,b\n1,2\n"


def patched(data, central, local, new):
    """*data* with bytes replaced at these offsets into the central directory's entry and the local header."""
    at, out = data.index(b"PK\x01\x02"), bytearray(data)
    out[at + central : at + central + len(new)] = new
    out[local : local + len(new)] = new
    return bytes(out)


@pytest.mark.parametrize(
    "name", ["/etc/a.csv", "../a.csv", "C:\\a.csv", "é\n.csv", "a\u202e.csv", "d/" * 100 + "a.csv"]
)
def test_a_zips_member_may_have_any_name(name):
    assert rows(zipped({name: CSV})) == [(1, 2)]


def test_a_name_that_is_no_text_harms_nothing():
    assert rows(zipped({"é.csv": CSV}).replace("é".encode(), b"\xff\xff")) == [(1, 2)]


def test_folders_alone_and_the_same_name_twice_are_told_as_that():
    with pytest.raises(CorruptFile, match="this one holds nothing"):
        rows(zipped({"a/": b"", "a/b/": b""}))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", CSV)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.csv", CSV)
    with pytest.raises(CorruptFile, match=r't0: the zip file holds "a\.csv" more than once'):
        rows(out.getvalue())


def test_what_is_encrypted_or_packed_in_an_unknown_way_is_not_supported():
    with pytest.raises(
        NotSupported, match=r"t0: 'a\.csv' in the zip file is encrypted; write it without a password"
    ):
        rows(patched(zipped({"a.csv": CSV}), 8, 6, b"\x01"))
    with pytest.raises(
        NotSupported, match=r"t0: 'a\.csv' in the zip file is packed by method 97; pack it by Deflate"
    ):
        rows(patched(zipped({"a.csv": CSV}), 10, 8, b"\x61"))


@pytest.mark.parametrize("claimed", [0, 3, len(CSV) + 1, 2**31, 2**32 - 1])
def test_a_size_that_a_zip_claims_is_compared_with_what_it_holds(claimed):
    with pytest.raises(CorruptFile, match="t0: "):
        rows(patched(zipped({"a.csv": CSV}), 24, 22, struct.pack("<I", claimed)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_are_unpacked_in_bounded_pieces_whatever_packs_them(method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a.csv", b"a\n" + b"1\n" * 100_000)
    assert len(out.getvalue()) < 5000
    assert len(rows(out.getvalue())) == 100_000


# --- any error while a file is read ---


def test_a_file_that_the_machine_does_not_give_is_unreadable(tmp_path):
    with (tmp_path / "written").open("wb") as file:
        written = SourceFile(opened=file.fileno, uri="file:///data/w", size=10)
        with pytest.raises(
            SourceUnreadable, match="file:///data/w: the bytes from 0 on cannot be read: Bad file descriptor"
        ):
            plan([written], source(), 100)


def test_a_bug_of_ours_is_still_called_one(monkeypatch, tmp_path):
    monkeypatch.setattr(parquet_read, "typed", lambda *_: {}["no such key"])
    path = tmp_path / "t0"
    path.write_bytes(claims.file((PAGE, 3, 3)))
    spec = {
        "source": {"uris": [f"file://{path}"]},
        "group_by": ["n"],
        "aggregates": [{"fn": "count", "as": "c"}],
    }
    planned, _ = tasks.run(plan_task(spec, path, prove=True))
    found, _ = tasks.run(chunk_task(spec, planned, 0))
    assert found.problem["code"] == "internal_error"
