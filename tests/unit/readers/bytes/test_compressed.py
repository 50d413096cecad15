import gzip

import pytest

from shared.errors import BadRow, CorruptFile, SourceEmpty
from tests.support.datasets import opened, rows, schema_of, source, tables, zipped
from worker_service.readers import plan

DATA = b"\xef\xbb\xbfa,b\n" + b"".join(b'%d,"x\n%d"\n' % (i, i % 9) for i in range(5000))
ROWS = [(i, f"x\n{i % 9}") for i in range(5000)]


@pytest.mark.parametrize("batch_bytes", [200, 1000, 1 << 20])
@pytest.mark.parametrize("cut", [0, 1, 3, 4, 5000])
def test_gzip_with_any_members_is_read_like_the_plain_file(cut, batch_bytes):
    members = gzip.compress(DATA[:cut]) + gzip.compress(DATA[cut:])
    assert rows(members, batch_bytes=batch_bytes) == ROWS


def test_zero_padding_after_gzip_is_no_error_and_other_bytes_are():
    assert rows(gzip.compress(DATA) + b"\0" * 600_000) == ROWS
    end = len(gzip.compress(DATA))
    told = rf"the gzip data ends at byte {end}, and other bytes follow it: b'rubb'; remove them"
    with pytest.raises(CorruptFile, match=told):
        rows(gzip.compress(DATA) + b"rubbish")


def test_a_compressed_file_is_one_extent_and_small_ones_share_a_chunk():
    packed = gzip.compress(DATA)
    with opened(packed, packed) as files:
        [chunk] = plan(files, source(), 1 << 20).extents
        assert [(e.file, e.start, e.end) for e in chunk] == [(0, 0, len(packed)), (1, 0, len(packed))]
        assert len(plan(files, source(), 10).extents) == 2


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_truncated_gzip_says_where_it_ends(kept):
    data = gzip.compress(DATA)
    data = data[: int(len(data) * kept)]
    with pytest.raises(CorruptFile, match=f"truncated: the file ends at byte {len(data)}"):
        rows(data)
    with pytest.raises(CorruptFile, match="truncated"):
        rows(gzip.compress(DATA)[:-4])


def test_damaged_gzip_is_corrupt_not_wrong():
    data = bytearray(gzip.compress(DATA))
    data[-6] ^= 0xFF  # the checksum
    with pytest.raises(CorruptFile, match="damaged"):
        rows(bytes(data))
    data[-6] ^= 0xFF
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorruptFile):
        rows(bytes(data))


def test_zip_of_one_csv_is_read_beside_folders_and_clutter():
    data = zipped(
        {
            "folder/": b"",
            "folder/x.csv": DATA,
            "__MACOSX/folder/._x.csv": b"junk",
            "folder/.DS_Store": b"junk",
        }
    )
    assert rows(data, batch_bytes=999) == ROWS


def test_a_zip_of_none_or_several_is_refused_by_name():
    with pytest.raises(CorruptFile, match=r"exactly one CSV file; this one holds 2 \('a.csv', 'b.csv'\)"):
        rows(zipped({"a.csv": DATA, "b.csv": DATA}))
    with pytest.raises(CorruptFile, match=r"holds 0 \(nothing\)"):
        rows(zipped({}))


def test_a_broken_zip_is_corrupt():
    data = zipped({"a.csv": DATA})
    for broken in (data[: len(data) // 2], data[:100] + bytes([data[100] ^ 255]) + data[101:], b"PK\x03\x04"):
        with pytest.raises(CorruptFile, match="zip"):
            rows(broken)


def test_the_spec_may_say_the_compression_and_is_checked():
    assert rows(gzip.compress(DATA), spec=source(compression="gzip")) == ROWS
    with pytest.raises(CorruptFile, match="not a gzip file"):
        rows(DATA, spec=source(compression="gzip"))
    with pytest.raises(CorruptFile, match="not a zip file"):
        rows(gzip.compress(DATA), spec=source(compression="zip"))


def test_header_only_and_empty_content():
    assert schema_of(gzip.compress(b"a,b\n")) == {"a": "int64", "b": "int64"}
    assert rows(gzip.compress(b"a,b\n")) == []
    with pytest.raises(SourceEmpty):
        schema_of(gzip.compress(b""))


def test_places_are_those_of_the_decompressed_data():
    body = b"a,b\n" + b'1,"2\n2"\n' * 3000 + b"x,3\n"
    with pytest.raises(
        BadRow,
        match=rf"byte {len(body) - 4} of the decompressed data, line 6002: column 'a': 'x' is no int64",
    ):
        rows(gzip.compress(body), spec=source({"a": "int64"}), batch_bytes=512)


def test_quotes_are_proved_in_the_stream_too():
    with pytest.raises(BadRow, match=r"line 50002: column 'b': text after the closing quote at byte 200008;"):
        rows(
            gzip.compress(b"a,b\n" + b"1,2\n" * 50_000 + b'1,"5" pipe\n'),
            spec=source({"b": "string"}),
            batch_bytes=64,
        )
    with pytest.raises(BadRow, match="never closed"):
        rows(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000 + b'1,"5\n'))


def test_decompression_is_cut_into_batches():
    frames = tables(gzip.compress(DATA), batch_bytes=1000)
    assert len(frames) > 30
    assert max(frame.num_rows for frame in frames) < 300
