import bz2
import dataclasses
import gzip
import lzma
import zlib
from functools import partial

import lz4.frame
import pytest

from shared.core.plan import Warned
from shared.errors import BadRow, CorruptFile, LimitExceeded, NotSupported, SourceEmpty
from tests.support.datasets import opened, rows, schema_of, source, tables, zipped
from worker_service.readers import plan
from worker_service.readers.bytes import compressed
from worker_service.readers.bytes.codecs import CODECS, zstd

DATA = b"\xef\xbb\xbfa,b\n" + b"".join(b'%d,"x\n%d"\n' % (i, i % 9) for i in range(5000))
ROWS = [(i, f"x\n{i % 9}") for i in range(5000)]


COMPRESS = {
    "gzip": gzip.compress,
    "zstd": partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4": partial(lz4.frame.compress, content_checksum=True),
}
SKIPPABLE = b"\x5a\x2a\x4d\x18\5\0\0\0hello"
of_each = pytest.mark.parametrize("name", COMPRESS)


@of_each
@pytest.mark.parametrize(("cut", "batch_bytes"), [(0, 1 << 20), (4, 1 << 20), (5000, 1500)])
def test_any_number_of_streams_is_read_like_the_plain_file(name, cut, batch_bytes):
    packed = COMPRESS[name](DATA[:cut]) + COMPRESS[name](DATA[cut:])
    assert rows(packed, batch_bytes=batch_bytes) == ROWS


def test_every_codec_of_the_spec_is_tried():
    assert COMPRESS.keys() == CODECS.keys()


@of_each
def test_zero_padding_is_no_error_and_other_bytes_are(name):
    packed = COMPRESS[name](DATA)
    assert rows(packed + bytes(4) + packed[:0] + bytes(600_000)) == ROWS
    told = rf"the {name} data ends at byte {len(packed)}, and other bytes follow it: b'rubb'; remove them"
    with pytest.raises(CorruptFile, match=told):
        rows(packed + b"rubbish")


@of_each
def test_truncated_data_say_where_they_end(name):
    packed = COMPRESS[name](DATA)
    for kept in (len(packed) // 2, len(packed) - 1):
        with pytest.raises(CorruptFile, match=rf"{name} data is truncated: the file ends at byte {kept} in"):
            rows(packed[:kept])


@of_each
def test_damaged_data_are_corrupt_not_wrong(name):
    packed = bytearray(COMPRESS[name](DATA))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(CorruptFile, match=f"{name} data is (damaged before byte|truncated)"):
        rows(bytes(packed))


@of_each
def test_the_spec_may_name_the_compression(name):
    assert rows(COMPRESS[name](DATA), spec=source(compression=name)) == ROWS
    with pytest.raises(CorruptFile, match=f"not a {name} file: it starts with b'a,b.n'; set .*\"none\""):
        rows(b"a,b\n1,2\n", spec=source(compression=name))


@of_each
def test_a_file_that_holds_nothing_is_left_out_beside_others(name):
    with opened(DATA, COMPRESS[name](b"")) as files:
        planned = plan(files, source(), 1 << 20)
    assert planned.warnings == (Warned("empty_file", "file:///data/t1 is empty; it is left out"),)
    with pytest.raises(SourceEmpty, match="t0: the file is empty"):
        rows(COMPRESS[name](b""))


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_frames_that_hold_no_data_are_passed_over(name):
    packed = COMPRESS[name](DATA)
    assert rows(SKIPPABLE + SKIPPABLE + packed + SKIPPABLE) == ROWS


def test_a_window_that_is_too_large_is_a_limit_and_a_large_one_is_read():
    packed = bytearray(zstd.compress(DATA[:897], options={zstd.CompressionParameter.content_size_flag: 0}))
    frame, window = 4, 5
    assert not packed[frame] & 0b11100011  # no size, no dictionary, so that the window's byte is next
    packed[window] = 17 << 3  # 2 ** 27 bytes
    assert len(rows(bytes(packed))) > 10
    packed[window] = 18 << 3
    with pytest.raises(LimitExceeded, match=r"the zstd data needs too much memory.*write it with a smaller"):
        rows(bytes(packed))


def test_an_xz_dictionary_that_is_too_large_is_a_limit():
    packed = bytearray(lzma.compress(DATA))
    block = 12
    size = 4 * (packed[block] + 1)
    assert packed[block + 2 : block + 4] == b"\x21\1"
    packed[block + 4] = 37  # 3 * 2 ** 29 bytes
    packed[block + size - 4 : block + size] = zlib.crc32(packed[block : block + size - 4]).to_bytes(
        4, "little"
    )
    with pytest.raises(LimitExceeded, match="the xz data needs too much memory"):
        rows(bytes(packed))


def test_zstd_with_a_dictionary_is_not_supported():
    trained = zstd.train_dict([b"%d,%d\n" % (i, i * i) * 9 for i in range(999)], 1024)
    assert zstd.decompress(zstd.compress(DATA, zstd_dict=trained), trained) == DATA
    with pytest.raises(NotSupported, match="the zstd data needs a dictionary; write it without one"):
        rows(zstd.compress(DATA, zstd_dict=trained))


@of_each
def test_a_small_file_that_holds_very_much_is_a_limit(name, monkeypatch):
    monkeypatch.setattr(compressed, "FREE_EXPANSION", 1 << 20)
    packed = COMPRESS[name](b"a,b\n" + b"1,2\n" * 400_000)
    with opened(packed) as [file]:
        wanting = dataclasses.replace(file, max_expansion=20)
        with pytest.raises(
            LimitExceeded,
            match=rf"{name} hold more than 1,048,576 bytes.*GRISTMILL_MAX_EXPANSION is 20 times",
        ):
            sum(map(len, compressed.buffers(wanting, name, 1 << 16)))
        enough = dataclasses.replace(file, max_expansion=20_000)
        assert sum(map(len, compressed.buffers(enough, name, 1 << 16))) == 1_600_004


@of_each
def test_no_buffer_is_larger_than_asked_for(name):
    with opened(COMPRESS[name](bytes(3_000_000))) as [file]:
        sizes = [len(data) for data in compressed.buffers(file, name, 1000)]
    assert (max(sizes), min(sizes) > 0, sum(sizes)) == (1000, True, 3_000_000)


def test_a_compressed_file_is_one_extent_and_small_ones_share_a_chunk():
    packed = gzip.compress(DATA)
    with opened(packed, packed) as files:
        [chunk] = plan(files, source(), 1 << 20).extents
        assert [(e.file, e.start, e.end) for e in chunk] == [(0, 0, len(packed)), (1, 0, len(packed))]
        assert len(plan(files, source(), 10).extents) == 2


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


def test_a_zip_that_an_old_plan_names_holds_one_member():
    with pytest.raises(CorruptFile, match=r'exactly one CSV file; this one holds "a\.csv", "b\.csv"$'):
        rows(zipped({"a.csv": DATA, "b.csv": DATA}))
    with pytest.raises(CorruptFile, match="this one holds nothing"):
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
