"""Delimiters, lines before the header and behind the records, and the names of columns."""

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.errors import (
    AmbiguousDelimiter,
    BadRow,
    InvalidEncoding,
    LimitExceeded,
    SchemaConflict,
    SourceEmpty,
    UnknownColumn,
)
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, rows, rows_at_every_cut, schema_of, source, tables
from worker_service.readers import plan
from worker_service.readers.csv import footer
from worker_service.readers.csv.delimiter import settled
from worker_service.readers.csv.file import csv_file
from worker_service.readers.csv.head import head


def names_of(data, **options):
    with opened(data) as files:
        spec = settled(files, source(**options))
        return head(csv_file(files[0], spec)).names


def planned(data, *columns, **options):
    """The plan of a spec that uses these columns as values."""
    uses = Uses(tuple(Mention((), name, value=True) for name in columns))
    with opened(data) as files:
        return plan(files, source(**options), 1000, uses=uses)


def delimiter_of(*contents, **options):
    with opened(*contents) as files:
        return settled(files, source(**options)).csv.delimiter


def test_comments_above_the_header_are_told_as_comments_since_more_may_follow():
    data = b"# made by x\n#units: kWh\nk,v\nx,1\n#y,2\nz,3\n"
    with pytest.raises(BadRow, match=r'Line 3, \'k,v\', looks like the header: set csv\.comment to "#"$'):
        planned(data, "k", "v")
    assert rows(data, spec=source(comment="#")) == [("x", 1), ("z", 3)]


def test_a_footer_longer_than_the_file_is_told():
    with pytest.raises(SourceEmpty, match=r"the file is empty before csv\.skip_footer: it has not even"):
        rows(b"x\n1\n", spec=source(skip_footer=3))


@pytest.mark.parametrize(
    ("data", "delimiter"),
    [
        (b"a,b\n1,2\n", ","),
        (b"a;b\n1,5;2,5\n", ";"),
        (b"a\tb\n1\t2\n", "\t"),
        (b"a|b\n1|2\n", "|"),
        (b'"a;x","b"\n"1;2","3"\n', ","),
        (b"a\n1\n", ","),
        (b"a b\n1;2\n3\n", ","),
        (b"a;b\n" + b"1;2\n" * 60 + b"1;2;3\n4\n" + b"1;2\n" * 60, ";"),
        (b"a;b\n" + b"1;2\n" * 100 + b"1,2;3,4\n" * 100, ";"),
        (b"a;b\n1;2\n3;TOTAL,,\nx\n", ";"),
        (b'a;b\n1;"x\n;y"\n', ";"),
        (b"\xef\xbb\xbfa;b\r\n1;2\r\n", ";"),
        (b"#x,y\n\na;b\n1;2\n", ";"),
        (b'a;b\n1;2\n"never closed;3\n', ";"),
    ],
)
def test_the_delimiter_is_the_one_candidate_that_splits_the_first_records_evenly(data, delimiter):
    assert delimiter_of(data, comment="#") == delimiter
    assert delimiter_of(gzip.compress(data), comment="#") == delimiter


def test_records_wider_than_the_first_bytes_are_read_before_the_delimiter_is_taken():
    wide = b";".join(b"%d" % i for i in range(30_000))
    assert delimiter_of(wide + b"\n" + wide.replace(b"7", b"7,") + b"\n") == ";"


def test_several_delimiters_that_fit_are_an_error_that_lists_them():
    told = r't0: several delimiters fit .*: "," gives 2 fields, "\|" gives 3 fields; set csv\.delimiter'
    with pytest.raises(AmbiguousDelimiter, match=told):
        delimiter_of(b"a|b,c|d\n1|2,3|4\n")


def test_the_delimiter_of_the_first_file_holds_for_all():
    assert delimiter_of(b"\n", b"a;b\n1;2\n", b"a;b\n1,0;2,0\n", b"a\n") == ";"
    with pytest.raises(SchemaConflict, match=r't1 is ",", and that of file:///data/t0 is ";"'):
        delimiter_of(b"a;b\n1;2\n", b"a,b\n1,2\n")


def test_tsv_is_csv_with_a_tab():
    assert rows(b"a\tb\n1,5\tx;y\n", spec=source(file_format="tsv")) == [("1,5", "x;y")]


@pytest.mark.parametrize("start", [b"sep=;\r\n", b"\xef\xbb\xbfsep=;\n", b'"sep=;"\n', b"SEP=;\n\n"])
def test_a_sep_line_says_the_delimiter_and_is_no_record(start):
    data = start + b"a,b;c\r\n1,2;3\r\n"
    assert rows(data, chunk_bytes=3, batch_bytes=5) == [("1,2", 3)]
    assert rows(data, spec=source(delimiter=";")) == [("1,2", 3)]
    assert rows(data, spec=source(skip_rows=1)) == [("1,2", 3)]
    assert rows(gzip.compress(data)) == [("1,2", 3)]


def test_a_sep_line_may_follow_skipped_lines():
    assert rows(b"made by x\nsep=|\na|b\n1|2\n", spec=source(skip_rows=1)) == [(1, 2)]


def test_a_sep_line_that_contradicts_the_spec_is_an_error_unless_it_is_skipped():
    with pytest.raises(
        SchemaConflict, match=r'sep= says that the delimiter is ";", and csv.delimiter is ","'
    ):
        rows(b"sep=;\na,b\n1,2\n", spec=source(delimiter=","))
    assert rows(b"sep=;\na,b\n1,2\n", spec=source(delimiter=",", skip_rows=1)) == [(1, 2)]


LINE = st.text('ab"#;', max_size=4)


@given(
    st.lists(LINE, max_size=4),
    st.lists(LINE, max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.integers(1, 30),
    st.booleans(),
)
@examples(max_examples=25)
def test_skipped_lines_are_physical_and_hold_anything(before, behind, end, ended, chunk, packed):
    body = ["x,y", '1,"a', 'b"', "", '2,"c""d"']
    text = end.join([*before, *body, *behind]) + (end if ended or (behind and not behind[-1]) else "")
    data = text.encode()
    spec = source({"y": "string"}, delimiter=",", skip_rows=len(before), skip_footer=len(behind))
    found = rows(gzip.compress(data) if packed else data, spec=spec, chunk_bytes=chunk, batch_bytes=chunk)
    records = csv.reader(io.StringIO(end.join(body), newline=""))
    assert found == [(int(x), y) for x, y in list(filter(None, records))[1:]]


def test_a_footer_is_cut_off_where_it_spans_chunks_and_buffers(monkeypatch):
    monkeypatch.setattr(footer, "_TAIL", 16)
    data = b"x\n" + b"1\n" * 50 + b"---\n" * 40
    for wanted in (data, gzip.compress(data)):
        assert sum(map(len, tables(wanted, spec=source(skip_footer=40), chunk_bytes=30, batch_bytes=7))) == 50


def test_a_footer_that_begins_inside_quotes_leaves_a_quote_that_is_never_closed():
    with pytest.raises(BadRow, match="never closed"):
        rows(b'x,y\n1,"a\nb"\n', spec=source(skip_footer=1))


def test_a_footer_of_the_whole_file_leaves_no_header():
    with pytest.raises(SourceEmpty, match="not even a header"):
        rows(b"x\n1\n", spec=source(skip_footer=2))


def test_a_footer_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(footer, "MAX_FOOTER", 1000)
    monkeypatch.setattr(footer, "_TAIL", 100)
    data = b"x\n" + b"1\n" * 9000
    for wanted in (data, gzip.compress(data)):
        with pytest.raises(LimitExceeded, match="the last 8,000 lines have more than 1,000 bytes; lower"):
            rows(wanted, spec=source(skip_footer=8000))


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"a,,c,\n1,2,3,4\n", ("a", "c2", "c", "c4")),
        (b",x\n1,2\n", ("c1", "x")),
        (b'a,"",a\n1,2,3\n', ("a", "c2", "a")),
    ],
)
def test_columns_without_a_name_are_numbered(data, names):
    assert names_of(data) == names


def test_names_are_trimmed_where_values_are():
    assert names_of(b' a ,"b ", \n1,2,3\n', trim=True) == ("a", "b", "c3")
    assert names_of(b' a ,"b "\n1,2\n') == (" a ", "b ")


def test_a_repeated_name_matters_only_where_it_is_used():
    data = b"en,note,de,note\nx,1,u,2\n"
    assert planned(data, "en", "de").schema.names == ["en", "de"]
    told = (
        r'the header has "note" 2 times: it names the columns 2 and 4; .* csv\.skip_rows to 1 and csv\.names'
    )
    with pytest.raises(BadRow, match=told):
        planned(data, "en", "note")
    cured = source(header=False, skip_rows=1, names=("en", "first", "de", "second"))
    assert rows(data, spec=cured) == [("x", 1, "u", 2)]


def test_a_name_repeated_behind_a_header_of_several_lines_is_cured_by_what_the_error_says():
    data = b'made by x\n"a\nb",k,k\n1,2,3\n'
    with pytest.raises(BadRow, match=r"csv\.skip_rows to 3 "):
        planned(data, "k", skip_rows=1)
    assert rows(data, spec=source(header=False, skip_rows=3, names=("a", "b", "c"))) == [(1, 2, 3)]


def test_a_name_that_collides_with_a_numbered_one_is_a_repeated_name():
    with pytest.raises(BadRow, match=r'the header has "c2" 2 times: it names the columns 1 and 2'):
        planned(b"c2,\n1,2\n", "c2")


@pytest.mark.parametrize(
    ("data", "line", "cured"),
    [
        (
            b'C,SETP,F,2024\nI,REGION,PRICE\nD,NSW,10.5\nD,VIC,20\nC,"END",5\n',
            2,
            [("D", "NSW", 10.5), ("D", "VIC", 20)],
        ),
        (b"Report of May\r\n\r\na;b\r\n1;2\r\n3;4\r\nend\r\n", 3, [(1, 2), (3, 4)]),
        (b'"two\nlines"\na,b\n1,2\n3,4\nend\n', 3, [(1, 2), (3, 4)]),
    ],
)
def test_a_header_that_is_not_the_first_record_is_found_and_the_advice_is_right(data, line, cured):
    skipped = line - 1
    with pytest.raises(
        BadRow, match=rf"Line {line}, .* looks like the header: set csv\.skip_rows to {skipped}\."
    ):
        rows(data)
    assert rows(data, spec=source(skip_rows=skipped, skip_footer=1)) == cured


def test_the_last_lines_are_told_as_the_footer_counts_them():
    data = b"made by x\na,b\n1,2\nend,3\n\n"
    with pytest.raises(
        BadRow, match=r"last lines of the file are '1,2', 'end,3', '': set csv\.skip_footer to how many"
    ):
        rows(data)
    assert rows(data, spec=source(skip_rows=1, skip_footer=2)) == [(1, 2)]


@pytest.mark.parametrize(
    "data",
    [
        b"A;B;C\n1;2;3;\n1;5;6;\n",  # every record is longer
        b'mpg,cyl\n"Mazda",21,6\n"Datsun",NA,4\n"Duster",14,8\n',
        b"a,b\n1,2,3\n4,5\n6,7\n",
        b"k,t,n\r\na,one\rtwo,1\r\nb,x,2\r\n",
        b"k,t,n\na,one\rtwo,1\nb,three\rfour,2\nc,five\rsix,3\nd,x,2\n",
    ],
)
def test_a_header_of_another_width_than_its_records_is_no_line_to_skip(data):
    with pytest.raises(BadRow, match=r"line 2: \d fields instead of \d"):
        rows(data)


def test_a_file_of_one_column_may_hold_any_candidate():
    assert rows(b"tags\nred;blue\ngreen\n") == [("red;blue",), ("green",)]
    assert schema_of(b"tags\nred;blue\nblue;green\n") == {"tags": "string"}


DELIMITERS = st.sampled_from(["::", "||", "<>", "ab", "aba", "\t|\t", "~~~~"])


@given(
    DELIMITERS,
    st.lists(st.tuples(*[st.text('ab:|<>~"\n\t\x01é', max_size=6)] * 2), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
    st.booleans(),
)
@examples(max_examples=25)
def test_a_delimiter_of_several_characters_splits_as_one_would(delimiter, values, end, chunk, packed):
    """Fields that hold structure are quoted; the others are taken apart by str.split."""

    def cell(value):
        plain = not any(part in value for part in ('"', "\n", *delimiter))
        return value if plain else '"' + value.replace('"', '""') + '"'

    text = "".join(delimiter.join(map(cell, row)) + end for row in [("x", "y"), *values])
    data = text.encode()
    spec = source({"x": "string", "y": "string"}, delimiter=delimiter)
    found = rows(gzip.compress(data) if packed else data, spec=spec, chunk_bytes=chunk, batch_bytes=chunk)
    assert [tuple(value or "" for value in row) for row in found] == values


@pytest.mark.parametrize(
    "line", [":::", "a::b:", "a:::b", ":a::b", 'a"::b"', "a::::b", "::", "a\\::::b", "a::b\\:", "\\:::::"]
)
def test_delimiters_are_found_from_the_left_and_an_escape_takes_one_character(line):
    escaped = line.replace("\\:", "\0")
    expected = [field.replace("\0", ":") or None for field in escaped.split("::")]
    header = "::".join(f"k{i}" for i in range(len(expected)))
    types = {f"k{i}": "string" for i in range(len(expected))}
    spec = source(types, delimiter="::", escape="\\")
    assert rows_at_every_cut(f"{header}\n{line}\n".encode(), spec=spec) == [tuple(expected)]


def test_a_ragged_record_of_a_long_delimiter_is_named_as_any_other():
    with pytest.raises(BadRow, match=r"byte 9, line 3: 3 fields instead of 2; the record is '1::2::3'"):
        rows(b"a::b\n1::2\n1::2::3\n"[:5] + b"1::\n1::2::3\n", spec=source(delimiter="::"))


def test_nul_may_be_a_spelling_of_null():
    assert rows(b"k,n\n\0,2\nc,\0\n", spec=source(null_values=("\0",))) == [(None, 2), ("c", None)]
    with pytest.raises(BadRow, match=r'a NUL byte at byte 4; .* add "\\u0000" to csv\.null_values'):
        rows(b"k,n\n\0,2\n")


def test_a_column_that_a_line_below_the_header_names_is_told_with_that_line():
    data = b"made,by\nname,note\nx,y\n"
    told = r"line 2, 'name,note', has it: if that is the header, set csv\.skip_rows to 1"
    with pytest.raises(UnknownColumn, match=told):
        planned(data, "note")
    assert planned(data, "note", skip_rows=1).schema.names == ["note"]
    with pytest.raises(UnknownColumn, match=r"a single field: set csv\.delimiter"):
        planned(b"name::note\nx::y\n", "note")
    with pytest.raises(UnknownColumn, match=r"line 3, 'name;note', has it"):
        planned(b"made by\n\nname;note\nx;y\n", "note")


@pytest.mark.parametrize("title", ["Umsätze;Musterbank AG", "Umsatzanzeige;Musterbank AG;x"])
def test_a_header_below_others_is_told_in_another_encoding_too(title):
    data = f"{title}\nBuchungstag;Währung;Betrag\n01.03.;EUR;5\n02.03.;EUR;6\n".encode("cp1252")
    for encoding in ("utf-8", "windows-1252"):
        with pytest.raises((BadRow, UnknownColumn), match=r"[Ll]ine 2, .*: .*set csv\.skip_rows to 1"):
            planned(data, "Betrag", delimiter=";", encoding=encoding)
    with pytest.raises(InvalidEncoding, match=r'0xe4 is not utf-8; set .*, often "windows-1252"'):
        planned(data, "Betrag", delimiter=";", skip_rows=1)
    assert planned(data, "Währung", delimiter=";", skip_rows=1, encoding="windows-1252")
