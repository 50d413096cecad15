"""Stray quotes, escapes, comments and no quoting at all, at every chunk size and batch size.

The csv module is the oracle; it knows no comments, so where there are some the records are known by
construction.
"""

import csv
import io
from itertools import product

import pytest

from shared.errors import BadRow, GristmillError
from tests.support.datasets import opened, rows, rows_at_every_cut, schema_of, source
from worker_service.readers import plan

STRINGS = {"x": "string", "y": "string"}


def by_the_csv_module(text, **options):
    _, *found = csv.reader(io.StringIO(text, newline=""), strict=True, **options)
    return [tuple(value or None for value in row) for row in found if row]


@pytest.mark.parametrize(
    "body",
    [
        '5" pipe,6" pipe\n7",""""\n',
        ' "a",b\n"a, ""b""\n",c"\n',
        'a"b"c,"1\n"\r\n"2",x""y\r\n',
        'a",b\n',
        '\'x,"\n\n"\ny,"\r\n""5"" "\n',
        '1,a""\n2,"b""\n"\r3,c"""\n\n4,""\n',
    ],
)
def test_a_stray_quote_is_text_and_the_quotes_after_it_keep_their_meaning(body):
    expected = by_the_csv_module("x,y\n" + body)
    found = rows_at_every_cut(("x,y\n" + body).encode(), spec=source(STRINGS))
    assert [tuple(value or None for value in row) for row in found] == expected


def test_a_header_may_have_stray_quotes():
    assert schema_of(b'5" pipe,b""\n1,2\n') == {'5" pipe': "int64", 'b""': "int64"}


def test_a_stray_quote_far_away_leaves_other_files_and_pieces_regular():
    regular, odd = (
        b"x,y\n" + b'"a","b\n"\n' * 50,
        b"x,y\n" + b'"a","b\n"\n' * 40_000 + b'5",6"\n' + b'"a","b\n"\n' * 40_000,
    )
    assert rows(regular, odd, spec=source(STRINGS), chunk_bytes=7000, batch_bytes=3000) == (
        [("a", "b\n")] * 40_050 + [('5"', '6"')] + [("a", "b\n")] * 40_000
    )


@pytest.mark.parametrize(
    "body",
    [
        'a\\,b,"c\\"d\n"\n',
        "a\\\\,b\\\n\\\nc\n\\\\\\,,d\n",
        '\\"a,"b"\r\n"\\\\","\\\\\\""\r\n',
        'a,\\"b"c\\"\n"""\\"""",x\n',
        "\\a\\b,\\\r\nc,d\n\\#e,f\n",
        "a,b\\\r\nc,d\\\n\\\re\n",
        'é\\é,"\\é"\n\\\\n,5" \\"pipe\\"\n',
    ],
)
def test_an_escaped_character_is_text(body):
    expected = by_the_csv_module("x,y\n" + body, escapechar="\\")
    found = rows_at_every_cut(("x,y\n" + body).encode(), spec=source(STRINGS, escape="\\"))
    assert [tuple(value or None for value in row) for row in found] == expected


def test_a_last_record_may_end_with_an_escaped_line_end():
    assert rows_at_every_cut(b"x,y\n1,a\\\n", spec=source(STRINGS, escape="\\")) == [("1", "a\n")]


@pytest.mark.parametrize("body", ["1,a\\", '1,"a\\', "1,2\n3,\\"])
def test_an_escape_character_at_the_end_of_the_file_is_refused_with_its_place(body):
    text = "x,y\n" + body
    wrong = (
        "is never closed"
        if '"' in body
        else f"column 'y': nothing follows the escape character at byte {len(text) - 1}"
    )
    for size in range(1, len(text) + 1):
        with pytest.raises(BadRow, match=wrong):
            rows(text.encode(), spec=source(STRINGS, escape="\\"), chunk_bytes=size, batch_bytes=size)


def test_an_escape_after_a_closing_quote_is_refused_with_its_place():
    with pytest.raises(BadRow, match=r"byte 4, line 2: column 'x': text after the closing quote at byte 8"):
        rows(b'x,y\n"abc"\\x,1\n', spec=source(escape="\\"))


def test_spellings_of_null_are_compared_before_escapes_are_undone():
    spec = source({"x": "string", "y": "int64"}, escape="\\", null_values=("NA", "\\N"))
    assert rows_at_every_cut(b'x,y\nN\\A,\\1\nNA,NA\n"N\\A",2\n\\N,3\nN,\\N\n\\\\N,4', spec=spec) == [
        ("NA", 1),
        (None, None),
        ("NA", 2),
        (None, 3),
        ("N", None),
        ("\\N", 4),
    ]


def test_a_columns_own_spelling_of_null_may_have_an_escape_too():
    own = {"x": "string", "y": {"type": "string", "null_values": ("\\N",)}, "z": "string"}
    data = b'x,y,z\n\\N,\\N,\\N\n"\n",\\N,N\nN,N,"\\N"\n'
    assert rows_at_every_cut(data, spec=source(own, escape="\\")) == [
        ("N", None, "N"),
        ("\n", None, "N"),
        ("N", "N", "N"),
    ]


def test_a_spelling_of_null_alone_in_a_file_of_one_column_is_a_record():
    spec = source({"x": "string"}, escape="\\", null_values=("\\N",))
    assert rows_at_every_cut(b"x\n\\N\na\n\\N", spec=spec) == [(None,), ("a",), (None,)]


COMMENTS = ["#", "#c", '#"', '#,"x', "##\\"]


@pytest.mark.parametrize(
    ("fields", "final", "end"),
    [
        (1, True, "\n"),
        (1, False, "\r\n"),
        (1, True, "\r"),
        (2, False, "\n"),
        (2, True, "\r\n"),
        (2, False, "\r"),
    ],
)
def test_comments_are_no_records_wherever_they_stand(fields, final, end):
    records = [['a"', "#b"], ["#\n", "c"], ["", "d#"], ["x\n#y", '"']]
    cells = {'a"': 'a"', "#\n": '"#\n"', "x\n#y": '"x\n#y"', '"': '""""'}
    lines = [COMMENTS[0], ",".join("xy"[:fields])]
    for comment, record in zip(COMMENTS[1:], records, strict=True):
        lines += [comment, ",".join(cells.get(value, value) for value in record[:fields]), comment, comment]
    data = (end.join(lines) + end * final).encode()
    expected = [tuple(value or None for value in record[:fields]) for record in records]
    assert rows_at_every_cut(data, spec=source({"x": "string"}, comment="#")) == expected


@pytest.mark.parametrize(("before", "own", "after"), list(product(["\n", "\r", "\r\n"], repeat=3)))
def test_line_ends_around_a_comment_stay_what_they_are_in_one_column(before, own, after):
    """The empty line behind the comment is a record of its own."""
    if (own, after) == ("\r", "\n"):
        after = "\n\n"  # the first one belongs to the comment's line end
    data = f"x{before}a{before}#c{own}{after}b{before}#d{own}".encode()
    assert rows_at_every_cut(data, spec=source(comment="#")) == [("a",), (None,), ("b",)]


@pytest.mark.parametrize(
    "data",
    [b"#c\nx,y\n", b"#c\r#d\rx,y\n#e", b"\xef\xbb\xbf#c\n\nx,y\r\n#\r\n\r\n#d\r\n", b"x,y\n" + b"#,\n" * 9],
)
def test_a_file_of_a_header_and_comments_has_no_rows(data):
    assert rows_at_every_cut(data, spec=source(comment="#")) == []
    assert list(schema_of(data, spec=source(comment="#"))) == ["x", "y"]


def test_comments_may_hold_bytes_that_records_may_not():
    assert rows_at_every_cut(b"x,y\n#\0\xff\n1,2\n", spec=source(comment="#")) == [(1, 2)]
    assert rows_at_every_cut(b"x,y\n#\x81\0\n1,\xe9\n", spec=source(comment="#", encoding="cp1252")) == [
        (1, "é")
    ]


def test_a_comment_character_elsewhere_is_text():
    data = b'x,y\n1#,#2\n"#3",4\n #5,6\n\\#7,8\n'
    assert rows_at_every_cut(data, spec=source(STRINGS, comment="#", escape="\\")) == [
        ("1#", "#2"),
        ("#3", "4"),
        (" #5", "6"),
        ("#7", "8"),
    ]


def test_places_count_the_lines_of_comments():
    data = b"#c\nx,y\n#,,\n1,2\n#\n#\n3\n"
    with pytest.raises(BadRow, match=r"byte 19, line 7: 1 field instead of 2; the record is '3'"):
        rows(data, spec=source({"x": "int64", "y": "int64"}, comment="#"))
    with pytest.raises(BadRow, match=r"line 4: column 'y': '2' is no bool; the record is '1,2'"):
        rows(data.replace(b"3\n", b""), spec=source({"y": "bool"}, comment="#"))


def test_without_quoting_a_quote_is_text():
    body = '"a,b"\n""","\n\nc"",\'\r\n'
    expected = by_the_csv_module("x,y\n" + body, quoting=csv.QUOTE_NONE)
    assert rows_at_every_cut(("x,y\n" + body).encode(), spec=source(STRINGS, quote=None)) == expected
    assert rows_at_every_cut(b'x\n"\n\n""\n', spec=source(quote=None)) == [('"',), (None,), ('""',)]
    assert rows_at_every_cut(b'x,"y\n1,"\\,\\\n\n', spec=source(quote=None, escape="\\")) == [(1, '",\n')]


@pytest.mark.parametrize("data", [b'x,y\n5",1\n2,"3\n', b'x,y\n"a"b,1\n2,3"\n', b"x,y\n1\n2,3,4\n"])
@pytest.mark.parametrize("options", [{}, {"escape": "\\"}, {"comment": "#"}])
def test_what_is_refused_is_refused_alike_at_every_cut(data, options):
    details = set()
    for chunk_bytes, batch_bytes in product(range(1, len(data) + 1), (1, 5, 99)):
        with pytest.raises(GristmillError) as caught:
            rows(data, spec=source(STRINGS, **options), chunk_bytes=chunk_bytes, batch_bytes=batch_bytes)
        details.add(caught.value.detail)
    assert len(details) == 1


def test_extents_are_cut_behind_records_whatever_the_dialect():
    data = b'x,y\n1,a\\\nb\n#"\n2,c"\n'  # records start at 4 and 14, and a comment at 11
    with opened(data) as files:
        planned = plan(files, source(STRINGS, escape="\\", comment="#"), 1)
    assert [(e.start, e.end) for chunk in planned.extents for e in chunk] == [(4, 11), (11, 14), (14, 19)]
