"""Odd but right CSV files, at every chunk size and batch size, as the csv module reads them."""

import csv
import io
from itertools import dropwhile
from operator import not_

import pytest

from shared.errors import BadRow
from tests.support.datasets import rows, rows_at_every_cut, schema_of, source, tables


def by_the_csv_module(text, delimiter=","):
    header, *found = dropwhile(
        not_,
        csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True),
    )
    return header, [tuple(value or None for value in row or [""]) for row in found if row or len(header) == 1]


@pytest.mark.parametrize(
    "text",
    [
        'x,y\n"a\nb","\n"\n"\n\n",c\n',
        'x,y\n"""","a"""\n"""b""",""""""\n',
        'x,y\r\n"\r\n","a\r\nb"\r\n"\r","\n\r"\r\n',
        "x,y\ra,b\rc,d\r",
        'x,y\r"a\r",b\r\r"\r\r",d',
        "x,y\r\r\na,b\r\r\nc,d\r\r\n",
        "x\r\r\na\r\r\n\r\nb",
        "\ufeffx,y\na,\ufeff\n\ufeffb,c\n",
        '\ufeff"x",y\r\n\ufeff,"\ufeff"',
        "x,y\na,b\nc,d",
        "x\na\n\n\nb\n\n",
        "\n\r\nx,y\n\n\na,b\r\n\n\r\nc,d\n\n",
        "x,y\n",
        "\ufeffx",
        "x,y\n,\n,\n",
    ],
)
def test_odd_line_ends_marks_and_empty_lines(text):
    header, expected = by_the_csv_module(text)
    found = rows_at_every_cut(text.encode(), spec=source(dict.fromkeys(header, "string")))
    assert [tuple(value or None for value in row) for row in found] == expected


@pytest.mark.parametrize("delimiter", ["\t", ";", "|", " ", "\x01", "a", "0"])
def test_other_delimiters(delimiter):
    text = 'x,y\n"b,c",d\n"b\n"",",5"d\n,\n'.replace(",", delimiter)
    header, expected = by_the_csv_module(text, delimiter)
    spec = source(dict.fromkeys(header, "string"), delimiter=delimiter)
    assert [tuple(v or None for v in row) for row in rows_at_every_cut(text.encode(), spec=spec)] == expected


NAMES = [
    "with space", " padded ", 'a "quote"', "two\nlines", "two\r\nlines", "com,ma", "🐘", "é", "ctid", "_id",
    "select", "Ä" * 31 + "x", "c1",
    "x" * 900, "`", "a.b", "0", "#", "\\",
]  # fmt: skip


def test_columns_may_have_any_name():
    header, body = io.StringIO(newline=""), io.StringIO(newline="")
    csv.writer(header).writerow(NAMES)
    csv.writer(body).writerow(range(len(NAMES)))
    data = (header.getvalue() + body.getvalue() * 2).encode()
    assert list(schema_of(data)) == NAMES
    [frame] = tables(data, columns=NAMES[::-1])
    assert frame.column_names == NAMES[::-1]
    assert rows(data, chunk_bytes=20, batch_bytes=7) == [tuple(range(len(NAMES)))] * 2


def test_a_field_of_three_megabytes_is_read_whole_at_any_chunk_size():
    big = ('é,"\r\n' + "x" * 90) * 33_000
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], ["1", big], ["2", "x"], ["3", big[::-1]], ["4", ""]])
    data = text.getvalue().encode()
    for chunk_bytes in (1, 1 << 20, 4 << 20, 1 << 30):
        found = rows(data, spec=source({"b": "string"}), chunk_bytes=chunk_bytes, batch_bytes=1 << 16)
        assert found == [(1, big), (2, "x"), (3, big[::-1]), (4, None)]


CURE = "(set options.on_bad_row .*|if no records begin there, set csv.skip_footer to [12])$"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,2\n3\n4,5\n", r"byte 8, line 3: 1 field instead of 2; the record is '3'"),
        ("1,2\n3,4,5\n", r"byte 8, line 3: 3 fields instead of 2; the record is '3,4,5'"),
        ('"1\n",2\n"3,"",4"\n5', r"byte 11, line 4: 1 field instead of 2; the record is '\"3,\"\",4\"'"),
        (
            "1,2\n3,4\0\n5,6\n",
            r"byte 8, line 3: column 'y': a NUL byte at byte 11; the record is '3,4\\\\x00'",
        ),
        (
            '"1\n,\0",2\n',
            r"byte 4, line 2: column 'x': a NUL byte at byte 8; the record is '\"1\\n,\\\\x00\",2'",
        ),
    ],
)
def test_ragged_rows_and_nul_bytes_are_refused_alike_at_every_cut(body, message):
    data = ("x,y\n" + body).encode()
    for size in range(1, len(data) + 1):
        with pytest.raises(BadRow, match=rf"^file:///data/t0: {message}; {CURE}"):
            rows(
                data,
                spec=source({"x": "string", "y": "string"}),
                chunk_bytes=size,
                batch_bytes=len(data) - size + 1,
            )


def test_many_files_each_odd_in_its_own_way_are_one_dataset():
    files = [
        b"x,y\n1,a",
        b"\xef\xbb\xbfx,y\r\n2,b\r\n",
        b'\n"x",y\r3,"c\n"\r',
        b"x,y\n",
        b'x,y\n4,5"\n\n',
        b"x,y\n\n\n6,e\r\r\n",
    ]
    assert rows_at_every_cut(*files) == [(1, "a"), (2, "b"), (3, "c\n"), (4, '5"'), (6, "e")]
