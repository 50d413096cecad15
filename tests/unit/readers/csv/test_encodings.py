"""Files in other encodings than UTF-8, at every chunk size and batch size."""

import codecs
import gzip

import pytest

from shared.errors import BadRow, InvalidEncoding, SourceEmpty
from shared.spec.encodings import SHARED
from tests.support.datasets import opened, rows, rows_at_every_cut, schema_of, source
from worker_service.readers import plan

LETTERS = {
    "iso8859-5": "Ж", "cp1251": "Ж", "koi8-r": "Ж", "iso8859-7": "λ", "cp1253": "λ", "cp949": "뷁",
    "euc_kr": "가", "euc_jp": "あ", "shift_jis": "ソ表",
    "cp932": "①ソ", "gbk": "亅乗", "gb18030": "亅\U0001f600", "big5": "功許",
}  # fmt: skip
"""Some whose second byte is a backslash or a pipe."""


@pytest.mark.parametrize("encoding", SHARED)
def test_text_is_the_same_in_every_encoding_and_at_every_cut(encoding):
    odd = LETTERS.get(encoding, "é")
    text = f'{odd},y\r\n"{odd}\n""{odd}""",1\n5"{odd},2\n\n{odd}x{odd},3'
    read = (
        rows_at_every_cut if len(odd.encode(encoding)) > 1 else rows
    )  # the other ones differ in the table of letters only
    found = read(text.encode(encoding), spec=source(encoding=encoding))
    assert found == [(f'{odd}\n"{odd}"', 1), (f'5"{odd}', 2), (f"{odd}x{odd}", 3)]
    assert list(schema_of(text.encode(encoding), spec=source(encoding=encoding))) == [odd, "y"]


@pytest.mark.parametrize(
    ("encoding", "mark", "packed"),
    [
        ("utf-16", "", bytes),
        ("utf-16-le", "", bytes),
        ("utf-16-le", "\ufeff", gzip.compress),
        ("utf-16-be", "", gzip.compress),
        ("utf-16-be", "\ufeff", bytes),
    ],
)
def test_utf_16_is_read_as_a_stream(encoding, mark, packed):
    # Two characters of it have the byte of a line end.
    text = 'ä,y\r\n"é\n""\U0001f600""",1\n5"਀,2\n\n#\n上x上,3\n\\"ഀ\\\n,4'
    data = (mark + text).encode(encoding)
    spec = source(encoding=encoding, comment="#", escape="\\")
    found = rows_at_every_cut(packed(data), spec=spec)
    assert found == [('é\n"\U0001f600"', 1), ('5"਀', 2), ("上x上", 3), ('"ഀ\n', 4)]
    assert list(schema_of(packed(data), spec=spec)) == ["ä", "y"]


def test_a_utf_16_file_is_one_extent():
    data = codecs.BOM_UTF16_BE + ("a,b\n" + "1,2\n" * 500).encode("utf-16-be")
    with opened(data) as files:
        assert [
            [(e.start, e.end) for e in chunk] for chunk in plan(files, source(encoding="utf-16"), 10).extents
        ] == [[(0, len(data))]]
    assert rows(data, spec=source(encoding="utf-16"), batch_bytes=50) == [(1, 2)] * 500


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (
            "a\n1\n".encode("utf-16-le"),
            "utf-16",
            "no byte order mark at the start; set csv.encoding to utf-16-le or utf-16-be",
        ),
        (
            "\ufeffa\n1\n".encode("utf-16-be"),
            "utf-16-le",
            "the byte order mark at the start is that of utf-16-be",
        ),
        ("a\nb\n".encode("utf-16-le") + b"c", "utf-16-le", "byte 8, line 3: not utf-16-le: truncated data"),
        (
            "a\nb\n".encode("utf-16-le") + b"\x00\xdcc\0",
            "utf-16-le",
            "byte 8, line 3: not utf-16-le: illegal encoding",
        ),
        (
            "a\nb".encode("utf-16-be") + b"\xd8\x00",
            "utf-16-be",
            "byte 6, line 2: not utf-16-be: unexpected end of data",
        ),
        (b"a", "utf-16-le", "byte 0, line 1: not utf-16-le: truncated data"),
    ],
)
def test_what_is_not_utf_16_is_refused_with_byte_and_line(data, encoding, message):
    for size in range(1, len(data) + 1):
        with pytest.raises(InvalidEncoding) as caught:
            rows(data, spec=source(encoding=encoding), batch_bytes=size)
        assert message in caught.value.detail


def test_places_in_utf_16_are_those_of_the_text_as_utf_8():
    data = "a,b\né,2\n1\n".encode("utf-16")
    with pytest.raises(
        BadRow, match=r"byte 12 of the text as UTF-8, line 3: 1 field instead of 2; the record is '1'"
    ):
        rows(data, spec=source({"a": "string"}, encoding="utf-16"))
    with pytest.raises(SourceEmpty):
        rows(b"", spec=source(encoding="utf-16"))


@pytest.mark.parametrize(
    ("encoding", "bad"),
    [
        ("cp1252", b"\x81"),
        ("cp949", b"\xff"),
        ("shift_jis", b"\x81,"),
        ("gbk", b"\x81\n"),
        ("euc_kr", b"\xb0"),
    ],
)
def test_a_byte_that_the_encoding_does_not_have_is_named_with_file_byte_line_column_and_text(encoding, bad):
    data = b'x,y\n#\xff\n"a\n",b\n1,c' + bad
    message = (
        rf"^file:///data/t0: byte 14, line 5: column 'y': byte 17: 0x{bad[0]:02x} is not {encoding}; "
        r"set csv\.encoding .* the record is '1,c\\\\"
    )
    for size in range(1, len(data) + 1):
        with pytest.raises(InvalidEncoding, match=message):
            rows(
                data,
                spec=source({"x": "string"}, encoding=encoding, comment="#"),
                chunk_bytes=size,
                batch_bytes=size,
            )


def test_compressed_files_may_have_any_encoding():
    assert rows(
        gzip.compress("é,y\nü,1\n".encode("cp1252")), spec=source(encoding="cp1252"), batch_bytes=3
    ) == [("ü", 1)]


def test_what_is_not_utf_8_in_the_second_column_is_named_there():
    with pytest.raises(
        InvalidEncoding,
        match=r"byte 4, line 2: column 'y': byte 7: 0xe9 is not utf-8; .* the record is 'a,b\\\\xe9c'",
    ):
        rows(b"x,y\na,b\xe9c\n")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_byte_order_mark_is_no_part_of_the_first_name_in_any_encoding(encoding):
    assert list(schema_of("\ufeffx,y\n1,2\n".encode(encoding), spec=source(encoding=encoding))) == ["x", "y"]
    assert rows_at_every_cut("\ufeffx\n\ufeff\n".encode(encoding), spec=source(encoding=encoding)) == [
        ("\ufeff",)
    ]
