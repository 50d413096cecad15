"""However a CSV file is cut into chunks and batches, its rows are those of the csv module."""

import csv
import gzip
import io
import os
import tempfile
from contextlib import contextmanager

from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import BadRow, SchemaWidened
from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, Schema, parse_type
from worker_service.readers import SourceFile, Tally, plan, read

# Few characters, so that quotes, line ends and delimiters meet often.
FIELD = st.text('ab"\n\r,;é \ufeff', max_size=6)
ENDS = st.sampled_from(["\n", "\r\n"])


@contextmanager
def opened(data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield SourceFile(fd=file.fileno(), uri="file:///data/t.csv", size=len(data))


def source(columns, delimiter=",", **options):
    return SourceSpec(uris=("file:///data/t.csv",), csv=CsvOptions(delimiter=delimiter, **options), types=dict.fromkeys(columns, "string"))


def rows_read(file, spec, chunk_bytes, batch_bytes):
    """Every row through plan and read; null as None. The splitter's own count is checked on the way."""
    planned = plan([file], spec, chunk_bytes)
    names = planned.schema.names
    found, tally = [], Tally()
    for extents in planned.extents:
        for extent in extents:
            for frame in read(file, extent, spec, planned.schema, names, batch_bytes, tally):
                found += list(zip(*(frame.column(name).to_pylist() for name in names), strict=True))
    assert tally.records == len(found)
    return found


def cell(value, delimiter, *, quoted):
    if quoted or any(special in value for special in '"\r\n' + delimiter):
        return '"' + value.replace('"', '""') + '"'
    return value


@st.composite
def documents(draw):
    """The text of a CSV file: any quoting that is right, either line end, perhaps a BOM, empty lines and no final line end."""
    columns = draw(st.integers(1, 4))
    delimiter, end = draw(st.sampled_from(",;\t|")), draw(ENDS)
    rows = draw(st.lists(st.lists(st.tuples(FIELD, st.booleans()), min_size=columns, max_size=columns), max_size=12))
    lines = [delimiter.join(f"c{i}" for i in range(columns))]
    for row in rows:
        lines += [""] * draw(st.integers(0, 1))
        lines.append(delimiter.join(cell(value, delimiter, quoted=quoted) for value, quoted in row))
    return columns, delimiter, draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end]))


def expected(text, delimiter):
    """The csv module's rows; it does not tell null from "". An empty line is no record, unless a record has only one field."""
    header, *rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    return [tuple(row or [""]) for row in rows if row or len(header) == 1]


@given(documents(), st.integers(1, 90), st.integers(1, 90))
@example((2, ",", 'c0,c1\r\n"a\r\n",b\r\n"\r","\n"\r\n'), 1, 1)
@example((1, ",", 'c0\n""\n"\n"'), 1, 1)
@example((2, ",", 'c0,c1\n"""","""a"\n"""""",'), 3, 2)
def test_any_cut_gives_the_rows_of_the_csv_module(document, chunk_bytes, batch_bytes):
    columns, delimiter, text = document
    spec = source([f"c{i}" for i in range(columns)], delimiter)
    with opened(text.encode()) as file:
        found = rows_read(file, spec, chunk_bytes, batch_bytes)
    assert [tuple(value or "" for value in row) for row in found] == expected(text, delimiter)


@given(documents(), st.integers(1, 90))
def test_a_compressed_file_gives_the_same_rows_and_nulls_as_the_plain_one(document, batch_bytes):
    columns, delimiter, text = document
    spec = source([f"c{i}" for i in range(columns)], delimiter)
    middle = len(text) // 2
    packed = gzip.compress(text[:middle].encode()) + gzip.compress(text[middle:].encode())
    with opened(text.encode()) as plain, opened(packed) as wrapped:
        assert rows_read(wrapped, spec, 10, batch_bytes) == rows_read(plain, spec, 7, 5)


@given(st.lists(st.tuples(st.none() | FIELD, st.none() | st.integers(-9, 9)), max_size=12), st.integers(1, 40), st.integers(1, 40), ENDS)
def test_null_is_told_from_the_empty_string_at_any_cut(rows, chunk_bytes, batch_bytes, end):
    text = "s,n" + end + "".join(f"{'' if s is None else cell(s, ',', quoted=True)},{'' if n is None else n}{end}" for s, n in rows)
    spec = SourceSpec(uris=("file:///data/t.csv",), types={"s": "string", "n": "int64"})
    with opened(text.encode()) as file:
        assert rows_read(file, spec, chunk_bytes, batch_bytes) == rows


@given(st.text('ab",\n', min_size=1, max_size=24), st.integers(1, 30))
def test_a_file_of_any_quotes_is_read_as_the_strict_csv_module_reads_it_or_refused(body, chunk_bytes):
    text = "x,y\n" + body
    spec = source(["x", "y"])
    with opened(text.encode()) as file:
        try:
            found = rows_read(file, spec, chunk_bytes, chunk_bytes)
        except BadRow:
            return
    assert [tuple(value or "" for value in row) for row in found] == expected(text, ",")


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
            return [tuple(map(repr, row.values())) for each in frames for frame in each for row in frame.to_pylist()], schema
        except SchemaWidened as asked:
            schema = Schema(tuple(Field(f.name, parse_type(asked.widen.get(f.name, f.type.kind))) for f in schema.fields))


@given(
    st.sampled_from(["int64", "bool", "date", "timestamptz"]),
    st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
    st.integers(1, 60),
    st.integers(1, 60),
)
def test_widening_ends_in_the_same_schema_and_rows_however_the_file_is_cut(kind, rows, chunk_bytes, batch_bytes):
    text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in rows)
    spec = SourceSpec(uris=("file:///data/t.csv",), types={})
    schema = Schema((Field("a", parse_type(kind)), Field("b", parse_type(kind))))
    with opened(text.encode()) as file:
        cut = widened(file, spec, schema, chunk_bytes, batch_bytes)
        whole = widened(file, spec, schema, 1 << 20, 1 << 20)
    assert cut == whole
