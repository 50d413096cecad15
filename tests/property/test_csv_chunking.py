"""However a CSV file is cut into chunks and batches, its rows are those of the csv module."""

import csv
import gzip
import io
import os
import tempfile
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from shared.errors import BadRow, CutsRefuted, SchemaWidened
from shared.spec.encodings import SHARED
from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, Schema, parse_type
from tests.support.datasets import RecordCount, read
from worker_service.readers import SourceFile, plan
from worker_service.readers.csv import cuts as csv_cuts

# Few characters, so that quotes, line ends and delimiters meet often.
FIELD = st.text('ab"\n\r,;×\\# \ufeff', max_size=6)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ENCODINGS = [
    "utf-8",
    "cp1252",
    "shift_jis",
    "gb18030",
    "utf-16-le",
]  # in shift_jis the second byte of × is that of ~


@contextmanager
def opened(data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield SourceFile(opened=file.fileno, uri="file:///data/t.csv", size=len(data))


def source(columns, delimiter=",", **options):
    return SourceSpec(
        uris=("file:///data/t.csv",),
        csv=CsvOptions(delimiter=delimiter, **options),
        types=dict.fromkeys(columns, "string"),
    )


def rows_read(file, spec, chunk_bytes, batch_bytes, *, guess=False):
    """Every row through plan and read, null as None; the reader's count is checked on the way."""
    planned = plan([file], spec, chunk_bytes, guess=guess)
    names = planned.schema.names
    found, count = [], RecordCount()
    for extents in planned.extents:
        for extent in extents:
            for frame in read(file, extent, planned.source, planned.schema, names, batch_bytes, count):
                found += list(zip(*(frame.column(name).to_pylist() for name in names), strict=True))
    assert count.records == len(found)
    return found


@contextmanager
def guesses_in(window, sample=10_000):
    """Make guesses in small files too, from *window* bytes.

    Many samples find out early that a guess is wrong.
    """
    with patch.multiple(csv_cuts, GUESS_BYTES=2, SAMPLE_BYTES=sample, LOOKS=(window, 2 * window)):
        yield


def rows_guessed(file, spec, chunk_bytes, batch_bytes):
    """The rows, and whether the guesses were right: if anything is wrong with them, the cuts are proven."""
    try:
        return rows_read(file, spec, chunk_bytes, batch_bytes, guess=True), True
    except (CutsRefuted, BadRow):
        return rows_read(file, spec, chunk_bytes, batch_bytes), False


def quoted(value):
    return '"' + value.replace('"', '""') + '"'


def cell(value, way, delimiter, escape, comment):
    """*value* as a field: `plain` with stray quotes as they are, where that can be.

    With escapes where there is an escape character; else quoted.
    """
    special = (delimiter, "\r", "\n", escape)
    if way == "escaped" and escape:
        return "".join(
            escape + c if c in special or (not i and c in ('"', comment)) else c for i, c in enumerate(value)
        )
    if way == "escaped quotes" and escape:
        return '"' + "".join(escape + c if c in ('"', escape) else c for c in value) + '"'
    if (
        way == "plain"
        and not value.startswith(('"', comment or '"'))
        and not any(c in special for c in value)
    ):
        return value
    return quoted(value.replace(escape, escape * 2) if escape else value)


@st.composite
def documents(draw, *, comments=("#", None)):
    """Any CSV file that is right in its dialect: (columns, options, text, text without the comments)."""
    columns = draw(st.integers(1, 4))
    delimiter, end = draw(st.sampled_from(",;\t|")), draw(ENDS)
    escape, comment = draw(st.sampled_from(["\\", None])), draw(st.sampled_from(comments))
    way = st.sampled_from(["plain", "quoted", "escaped", "escaped quotes"])
    rows = draw(st.lists(st.lists(st.tuples(FIELD, way), min_size=columns, max_size=columns), max_size=12))
    lines = [delimiter.join(f"c{i}" for i in range(columns))]
    for row in rows:
        lines += [""] * draw(st.integers(0, 1))
        lines.append(delimiter.join(cell(value, way, delimiter, escape, comment) for value, way in row))
    remarks = (
        st.lists(st.text('a"\\,# ', max_size=4).map(lambda text: f"{comment}{text}"), max_size=2)
        if comment
        else st.just([])
    )
    marked = [
        line for kept in lines for line in (*((remark, False) for remark in draw(remarks)), (kept, True))
    ]
    ended = [(line + end, kept) for line, kept in marked[:-1]] + [
        (marked[-1][0] + draw(st.sampled_from(["", end])), True)
    ]
    bom = draw(st.sampled_from(["", "\ufeff"]))
    text, plain = (bom + "".join(line for line, kept in ended if kept or whole) for whole in (True, False))
    fitting = [
        name
        for name in ENCODINGS
        if can_hold(name, text) and not {delimiter, escape} & set(SHARED.get(name, ""))
    ]
    encoding = draw(st.sampled_from(fitting))
    return (
        columns,
        {"delimiter": delimiter, "escape": escape, "comment": comment, "encoding": encoding},
        text,
        plain,
    )


def can_hold(encoding, text):
    """A byte order mark is one of the encodings of Unicode only."""
    return "\ufeff" not in text or encoding in {"utf-8", "utf-16-le"}


def expected(text, options):
    """The csv module's rows.

    It does not tell null from "". An empty line is no record, unless a record has only one field.
    """
    written = {"delimiter": options["delimiter"], "escapechar": options["escape"]}
    header, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), **written)
    return [tuple(row or [""]) for row in rows if row or len(header) == 1]


def usual(columns, text):
    """A document in the dialect of the defaults."""
    return columns, {"delimiter": ",", "escape": None, "comment": None, "encoding": "utf-8"}, text, text


EVERY = {"delimiter": ",", "escape": "\\", "comment": "#", "encoding": "utf-8"}


@given(documents(), st.integers(1, 90), st.integers(1, 90))
@example(usual(2, 'c0,c1\r\n"a\r\n",b\r\n"\r","\n"\r\n'), 1, 1)
@example(usual(1, 'c0\n""\n"\n"'), 1, 1)
@example(usual(2, 'c0,c1\n"""","""a"\n"""""",'), 3, 2)
@example(usual(2, 'c0,c1\na""",b\n",""\n ",b"'), 1, 1)
@example((1, EVERY, "c0\r#\r\n\na\r#\\\n\nb", "c0\r\ra\r\rb"), 1, 1)
def test_any_cut_gives_the_rows_of_the_csv_module(document, chunk_bytes, batch_bytes):
    columns, options, text, plain = document
    spec = source([f"c{i}" for i in range(columns)], **options)
    with opened(text.encode(options["encoding"])) as file:
        found = rows_read(file, spec, chunk_bytes, batch_bytes)
    assert [tuple(value or "" for value in row) for row in found] == expected(plain, options)


@given(documents(), st.integers(2, 90), st.integers(1, 90), st.integers(1, 90))
@example(usual(2, 'c0,c1\n"a\nb,c\nd,e\nf","g"\n'), 8, 99, 3)
def test_cuts_that_are_guessed_give_the_rows_of_the_csv_module_or_are_refuted(
    document, chunk_bytes, batch_bytes, window
):
    columns, options, text, plain = document
    spec = source([f"c{i}" for i in range(columns)], **options)
    with opened(text.encode(options["encoding"])) as file, guesses_in(window):
        found, right = rows_guessed(file, spec, chunk_bytes, batch_bytes)
    event(f"right: {right}")
    assert [tuple(value or "" for value in row) for row in found] == expected(plain, options)


@settings(max_examples=25)
@given(
    documents(), st.integers(2, 90), st.integers(1, 90), st.integers(1, 90), st.sampled_from(["<>", "<|->"])
)
def test_a_longer_delimiter_gives_the_rows_that_a_character_in_its_place_gives(
    document, chunk_bytes, batch_bytes, window, delimiter
):
    columns, options, text, plain = document
    one = options["delimiter"]
    spec = source(
        [f"c{i}" for i in range(columns)], **options | {"delimiter": delimiter, "encoding": "utf-8"}
    )
    longer = text.replace(one, delimiter).encode()
    with opened(longer) as file, opened(gzip.compress(longer)) as packed, guesses_in(window):
        found, _ = rows_guessed(file, spec, chunk_bytes, batch_bytes)
        assert rows_read(packed, spec, chunk_bytes, batch_bytes) == found
    assert [tuple(value or "" for value in row) for row in found] == [
        tuple(value.replace(one, delimiter) for value in row) for row in expected(plain, options)
    ]


def cuts(planned):
    return [(extent.start, extent.end) for chunk in planned.extents for extent in chunk]


LONG = st.text("a,\n", min_size=60, max_size=200).map(quoted) | st.sampled_from(
    ["a", quoted("b"), quoted(""), quoted("c,\n")]
)


@given(
    st.lists(st.tuples(LONG, LONG), min_size=4, max_size=12),
    st.integers(50, 400),
    st.integers(1, 400),
    st.integers(20, 100),
    st.sampled_from([100, 10_000]),
)
@example([("a", quoted("1\nb,2\nc,3\nd"))] * 3, 8, 200, 3, 10_000)
def test_lines_that_only_look_like_records_never_become_any(rows, chunk_bytes, batch_bytes, window, sample):
    text = "c0,c1\n" + "".join(f"{a},{b}\n" for a, b in rows)
    spec = source(["c0", "c1"])
    with opened(text.encode()) as file, guesses_in(window, sample):
        found, right = rows_guessed(file, spec, chunk_bytes, batch_bytes)
        if right:
            guessed, proven = plan([file], spec, chunk_bytes, guess=True), plan([file], spec, chunk_bytes)
            assert cuts(guessed) == cuts(proven)
            assert guessed.schema == proven.schema
            event(
                f"guessed and right: {any(extent.guesses for chunk in guessed.extents for extent in chunk)}"
            )
    event(f"right: {right}")
    assert [[value or "" for value in row] for row in found] == list(
        csv.reader(io.StringIO(text, newline=""))
    )[1:]


@given(documents(), st.integers(1, 90))
def test_a_compressed_file_gives_the_same_rows_and_nulls_as_the_plain_one(document, batch_bytes):
    columns, options, text, _ = document
    spec = source([f"c{i}" for i in range(columns)], **options)
    data = text.encode(options["encoding"])
    packed = gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    with opened(data) as plain, opened(packed) as wrapped:
        assert rows_read(wrapped, spec, 10, batch_bytes) == rows_read(plain, spec, 7, 5)


@given(
    st.lists(st.tuples(st.none() | FIELD, st.none() | st.integers(-9, 9)), max_size=12),
    st.integers(1, 40),
    st.integers(1, 40),
    ENDS,
)
def test_null_is_told_from_the_empty_string_at_any_cut(rows, chunk_bytes, batch_bytes, end):
    text = (
        "s,n"
        + end
        + "".join(f"{'' if s is None else quoted(s)},{'' if n is None else n}{end}" for s, n in rows)
    )
    spec = SourceSpec(uris=("file:///data/t.csv",), types={"s": "string", "n": "int64"})
    with opened(text.encode()) as file:
        assert rows_read(file, spec, chunk_bytes, batch_bytes) == rows


@given(
    st.text('ab",\n\\', min_size=1, max_size=24),
    st.sampled_from(["\\", None]),
    st.integers(1, 30),
    st.integers(1, 30),
)
@example('5" pipe,"\n"\n', None, 1, 1)
@example('"a\\"b",\\\n,\n', "\\", 1, 1)
def test_a_file_of_any_quotes_is_read_as_the_strict_csv_module_reads_it_or_refused_where_it_refuses(
    body, escape, chunk_bytes, batch_bytes
):
    text, spec = "x,y\n" + body + "\n", source(["x", "y"], escape=escape)
    reader = csv.reader(
        io.StringIO(text + "0,0\n", newline=""), escapechar=escape, strict=True
    )  # its strict mode wants something after an escaped line end
    try:
        _, *wanted = (tuple(row) for row in reader if row)
        ragged = any(len(row) != 2 for row in wanted)
    except csv.Error:
        ragged, wanted = True, []
    with opened((text + "0,0\n").encode()) as file, guesses_in(window=batch_bytes):
        if ragged:
            with pytest.raises(BadRow):
                rows_read(file, spec, chunk_bytes, batch_bytes)
            with pytest.raises(BadRow):
                rows_guessed(file, spec, chunk_bytes + 1, batch_bytes)
        else:
            found = rows_read(file, spec, chunk_bytes, batch_bytes)
            assert [tuple(value or "" for value in row) for row in found] == wanted
            assert rows_guessed(file, spec, chunk_bytes + 1, batch_bytes)[0] == found


def test_the_tempfile_offset_does_not_matter():
    with opened(b"c0\na\nb\n") as file:
        os.lseek(file.fd, 3, os.SEEK_SET)
        assert rows_read(file, source(["c0"]), 1, 1) == [("a",), ("b",)]


VALUES = st.sampled_from(
    [
        "",
        "0",
        "7",
        "-12",
        "007",
        "1.5",
        "1e3",
        "9007199254740993",
        "nan",
        "true",
        "2024-01-02",
        "2024-01-02 03:04",
        "2024-01-02T03:04Z",
        "x",
    ]
)


def widened(file, spec, schema, chunk_bytes, batch_bytes):
    """The rows and the schema once every widening that a reader asked for has been done."""
    extents = plan([file], spec, chunk_bytes).extents
    while True:
        frames = (read(file, e, spec, schema, schema.names, batch_bytes) for chunk in extents for e in chunk)
        try:
            return [
                tuple(map(repr, row.values()))
                for each in frames
                for frame in each
                for row in frame.to_pylist()
            ], schema
        except SchemaWidened as asked:
            schema = Schema(
                tuple(Field(f.name, parse_type(asked.widen.get(f.name, f.type.kind))) for f in schema.fields)
            )


@given(
    st.sampled_from(["int64", "bool", "date", "timestamptz"]),
    st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_widening_ends_in_the_same_schema_and_rows_however_the_file_is_cut(
    kind, rows, chunk_bytes, batch_bytes
):
    text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows)
    spec = source([])
    schema = Schema((Field("a", parse_type(kind)), Field("b", parse_type(kind))))
    with opened(text.encode()) as file:
        cut = widened(file, spec, schema, chunk_bytes, batch_bytes)
        whole = widened(file, spec, schema, 1 << 20, 1 << 20)
    assert cut == whole
