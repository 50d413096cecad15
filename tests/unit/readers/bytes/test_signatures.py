"""Content that is no table which Gristmill reads is named, however its file is called and packed."""

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile

import lz4.frame
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, orc

from shared.errors import NotSupported
from tests.support.datasets import rows, schema_of, source, zipped
from worker_service.readers.bytes.codecs import zstd
from worker_service.readers.bytes.signatures import SIGNATURES, signature_of

CSV = b"k,n\na,1\nb,2\n"
TABLE = pa.table({"k": ["a", "b"], "n": [1, 2]})


def written(write, *args, **options):
    sink = io.BytesIO()
    write(*args, sink, **options)
    return sink.getvalue()


def tar(mode="w", **options):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode, **options) as archive:
        info = tarfile.TarInfo("a.csv")
        info.size = len(CSV)
        archive.addfile(info, io.BytesIO(CSV))
    return sink.getvalue()


def without_magic(archive):
    """A tar archive as programs wrote it before the magic: the checksum is that of the changed header."""
    header = bytearray(archive[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + archive[512:]


def database():
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (k)")
        return connection.serialize()


def arrow_stream():
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, TABLE.schema) as stream:
        stream.write_table(TABLE)
    return sink.getvalue()


FOREIGN = {
    "a tar archive: unpack it, and give the files in it": tar(),
    "a tar archive": without_magic(tar()),
    "a tar archive in a gzip file": tar("w:gz"),
    "a tar archive in an xz file": tar("w:xz"),
    "a tar archive in a zip file": zipped({"a.tar": tar()}),
    "a gzip file in a gzip file: unpack it once": gzip.compress(gzip.compress(CSV)),
    "a zip file in a bzip2 file: unpack it once": bz2.compress(zipped({"a.csv": CSV})),
    "an xz file in a zstd file": zstd.compress(lzma.compress(CSV)),
    "a bzip2 file in an lz4 file": lz4.frame.compress(bz2.compress(CSV)),
    "an lz4 file in a zip file": zipped({"a.csv.lz4": lz4.frame.compress(CSV)}),
    "a Parquet file in a gzip file: Parquet needs no": gzip.compress(written(pq.write_table, TABLE)),
    "a Parquet file in a zip file": zipped({"a.parquet": written(pq.write_table, TABLE)}),
    "an Arrow IPC file in a gzip file: unpack it": gzip.compress(written(feather.write_feather, TABLE)),
    "an Arrow IPC stream in a zip file: unpack it": zipped({"a": arrow_stream()}),
    "an Office document in a zip file: unpack it": zipped({"a.xlsx": zipped({"[Content_Types].xml": b"<"})}),
    "an encrypted Parquet file": b"PARE\x15\x02\x19" + bytes(9) + b"PARE",
    "an ORC file: write it as Parquet": written(orc.write_table, TABLE),
    "an ORC file": written(orc.write_table, TABLE, compression="zlib"),
    "an .lzma file: unpack it; gzip": lzma.compress(CSV, lzma.FORMAT_ALONE),
    "a legacy lz4 file": b"\x02\x21\x4c\x18\x0a\0\0\0",
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "a RAR archive": b"Rar!\x1a\x07\x01\0",
    "an .xls workbook (OLE2): save it as .xlsx or CSV": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "an Avro file": b"Obj\x01\x04\x14avro.codec",
    "an SQLite database": database(),
    "a Python pickle": pickle.dumps({"k": [1]}),
    "a Python pickle in": gzip.compress(pickle.dumps([1], protocol=2)),
    "a NumPy file": written(lambda values, sink: np.save(sink, values), np.arange(3)),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    "an RTF document": b"{\\rtf1\\ansi",
    "a Git LFS pointer: fetch the data": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n",
    "text in UTF-32": "k,n\na,1\n".encode("utf-32"),
    "text in UTF-32: save it as CSV in UTF-8": "k,n\na,1\n".encode("utf-32-be"),
    "text in UTF-16: set csv.encoding to utf-16-le": CSV.decode().encode("utf-16-le"),
    "text in UTF-16: set csv.encoding to utf-16-be": CSV.decode().encode("utf-16-be"),
}
TEXTS = {
    "an HTML page": b"<!DOCTYPE html>\n<html><body>Not found</body></html>",
    "an HTML page: fetch the data themselves": b"\xef\xbb\xbf\r\n <HTML lang='en'>",
    "an HTML page: ": b"<head><title>Moved</title></head>",
    "an HTML page: fetch": b"<h1>404 Not Found</h1>\n",
    "an XML document": b"<?xml version='1.0'?>\n<rows/>",
    "an XML document: ": b"<Error><Code>AccessDenied</Code></Error>",
    "an XML document: export": b'<rows a="1">\n  <row k="a"/>\n</rows>',
    "a JSON array": b'[{"k": "a", "n": 1},\n {"k": "b", "n": 2}]',
    "a JSON array: write one object a line": b'[\n  {\n    "k": "a"\n  }\n]',
    "a JSON array of arrays in a gzip file": gzip.compress(b"[[1, 2], [3, 4]]"),
    "a JSON document": b'{\n  "type": "FeatureCollection"\n}\n',
}


def refusal(data, **options):
    with pytest.raises(NotSupported) as caught:
        schema_of(data, spec=source(**options))
    return caught.value.detail


@pytest.mark.parametrize("name", FOREIGN | TEXTS)
def test_foreign_content_is_named(name):
    assert refusal((FOREIGN | TEXTS)[name]).startswith(f"file:///data/t0 is {name}")


@pytest.mark.filterwarnings("ignore:Feather V1:DeprecationWarning")
def test_a_feather_file_of_version_1_is_named():
    told = "is a Feather version 1 file: write it as Arrow IPC"
    assert told in refusal(written(feather.write_feather, TABLE, version=1))


@pytest.mark.parametrize("name", FOREIGN)
def test_it_is_named_even_where_the_spec_says_csv(name):
    assert refusal(FOREIGN[name], file_format="csv").startswith(f"file:///data/t0 is {name}")


def test_text_is_csv_where_the_spec_says_so():
    assert schema_of(b"[1,2]\n3,4\n", spec=source(file_format="csv")) == {"[1": "int64", "2]": "int64"}
    assert list(schema_of(TEXTS["an HTML page"], spec=source(file_format="csv"))) == ["<!DOCTYPE html>"]


def test_a_parquet_file_that_the_spec_calls_csv_and_the_reverse_say_what_to_set():
    parquet = written(pq.write_table, TABLE)
    assert refusal(parquet, file_format="csv") == (
        'file:///data/t0 is a Parquet file: set source.format to "parquet" or "auto"'
    )
    assert refusal(gzip.compress(parquet), file_format="parquet") == (
        'file:///data/t0 is a gzip file; source.format is "parquet": set it to "auto", or give such a file'
    )
    assert refusal(gzip.compress(CSV), compression="none") == (
        'file:///data/t0 is a gzip file: set source.compression to "gzip" or "auto"'
    )


@pytest.mark.parametrize("file_format", ["parquet", "arrow", "xlsx"])
def test_text_is_named_where_the_spec_says_a_format_of_bytes(file_format):
    told = f'is an HTML page; source.format is "{file_format}": set it to "auto", or give such a file'
    assert told in refusal(TEXTS["an HTML page"], file_format=file_format)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress, lambda data: zipped({"a.jsonl": data})])
def test_ndjson_is_read_from_each_container(pack):
    assert rows(pack(b'{"k":"a","n":1}\n{"k":"b","n":2}\n')) == [("a", 1), ("b", 2)]


def test_the_cure_for_utf_16_without_a_mark_works():
    assert rows(CSV.decode().encode("utf-16-le"), spec=source(encoding="utf-16-le")) == [("a", 1), ("b", 2)]


HEADERS = (
    *(
        "<TICKER>,<DATE>,<CLOSE>",
        "<DATE>\t<TIME>",
        "<CLOSE>",
        "[id],[name]",
        "[1],[2]",
        "[Header],,",
        "{id},{n}",
        '"[1]",n',
        "]x",
    ),
    *("ORC,n", "PAR1,n", "BZh9,n", "LZIP", "CDF,n", "PGDMP", "MATLAB,R", "0707,n", "xÚ,n", "€,n", "“k”,n"),
)


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_begins_like_one_of_them_is_a_header(header):
    for encoding in ("utf-8", "cp1252"):
        data = f"{header}\n".encode(encoding) + CSV * 100
        assert signature_of(data, {"binary", "wide", "text"}) is None


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["C"], include_characters="\t\r\n"), max_size=80))
def test_no_printed_text_is_taken_for_something_binary(text):
    known = ("!<arch>", "%PDF-", "{\\rtf", "MATLAB ", "$FL", "HEADER RECORD", "<stata_dta>", "-----BEGIN")
    found = signature_of(text.encode(), {"binary", "wide"})
    assert found is None or text.startswith((*known, "version https", "age-encryption"))


def test_every_kind_has_a_cure_and_an_article():
    for found in SIGNATURES:
        assert found.name.split()[0] in {"a", "an", "text"}
        assert found.cure
