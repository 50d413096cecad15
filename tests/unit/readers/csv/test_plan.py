import gzip
import random

import pytest

from shared.core.plan import Extent
from shared.errors import BadRow, InvalidEncoding, SchemaConflict, SourceEmpty, UnknownColumn
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, rows, schema_of, source
from worker_service.readers import plan
from worker_service.readers.csv import cuts, faults


def extents(*contents, chunk_bytes, spec=None):
    with opened(*contents) as files:
        return [
            [(e.file, e.start, e.end) for e in chunk]
            for chunk in plan(files, spec or source(), chunk_bytes).extents
        ]


def test_types_are_the_narrowest_that_hold_every_sampled_value():
    header = "b,i,f,s,zip,d,t,tz,mixed,dt,q\n"
    body = (
        'true,1,1.5,x,007,2024-01-02,2024-01-02 03:04,2024-01-02T03:04Z,1,2024-01-02,"1"\n'
        'FALSE,,2,y,112,2024-01-03,2024-01-02 03:04:05,2024-01-02T03:04+09:00,a,2024-01-02 03:04,""\n'
    )
    assert schema_of((header + body).encode()) == {
        "b": "bool", "i": "int64", "f": "float64", "s": "string", "zip": "string", "d": "date",
        "t": "timestamp",
        "tz": "timestamptz", "mixed": "string", "dt": "timestamp", "q": "int64",
    }  # fmt: skip


def test_a_column_without_a_value_is_int64_which_can_still_widen():
    assert schema_of(b"a,b\n1,\n2,\n") == {"a": "int64", "b": "int64"}
    assert schema_of(b"a,b\n") == {"a": "int64", "b": "int64"}


def test_only_the_given_spellings_are_null():
    data = b"cc,n\nNA,1\nKR,NA\n"
    assert schema_of(data) == {"cc": "string", "n": "string"}
    assert schema_of(data, spec=source(null_values=("NA",))) == {"cc": "string", "n": "int64"}
    assert rows(data) == [("NA", "1"), ("KR", "NA")]
    assert rows(data, spec=source(null_values=("NA",))) == [(None, 1), ("KR", None)]


def test_declared_types_come_first_and_have_to_name_columns():
    with opened(b"a,b\n1,2\n") as files:
        schema = plan(files, source({"b": "decimal(9,2)"}), 10).schema
        assert [(str(f.type), f.declared) for f in schema.fields] == [
            ("int64", False),
            ("decimal(9,2)", True),
        ]
        with pytest.raises(UnknownColumn, match='no column "c"; the data has "a", "b"') as caught:
            plan(files, source({"c": "int64"}), 10)
    assert caught.value.errors[0]["pointer"] == "#/source/types/c"


def test_a_type_is_found_that_only_a_late_part_of_the_file_needs():
    data = b"n\n" + b"1234567\n" * 60_000 + b"1.5\n" * 30_000
    assert schema_of(data) == {"n": "float64"}


def test_the_schema_does_not_depend_on_the_chunk_size():
    data = b"n,s\n" + b'12,"a\n"\n' * 40_000 + b"1.5,\n" * 9_000
    with opened(data) as files:
        assert plan(files, source(), 64).schema == plan(files, source(), 1 << 30).schema


def test_a_headerless_file_has_the_given_names_or_numbers():
    assert schema_of(b"1,x\n2,y\n", spec=source(header=False)) == {"c1": "int64", "c2": "string"}
    spec = source(header=False, names=("n", "s"))
    assert rows(b"1,x\n2,y\n", spec=spec) == [(1, "x"), (2, "y")]
    with pytest.raises(SchemaConflict, match=r"has 2 fields, and csv\.names has 1"):
        schema_of(b"1,x\n", spec=source(header=False, names=("n",)))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"a,b,a\n", 'the header has "a" 2 times'),
        (b'a,"b"c\n', "byte 0, line 1: column 2: text after the closing quote at byte 4"),
        (b'a,b,"c\n', "byte 0, line 1: column 3: the quote at byte 4 is never closed"),
    ],
)
def test_a_header_that_cannot_name_columns_is_refused(header, message):
    with pytest.raises(BadRow, match=message):
        schema_of(header + b"1,2,3\n")


def test_a_header_may_be_quoted_and_hold_line_ends_and_delimiters():
    assert schema_of(b'"a,\n""b""",c\r\n1,2\r\n') == {'a,\n"b"': "int64", "c": "int64"}


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\r\n\n"])
def test_a_file_without_a_record_is_empty(data):
    with pytest.raises(SourceEmpty, match="file:///data/t0"):
        schema_of(data)


@pytest.mark.parametrize("data", [b"a,b", b"a,b\n", b"a,b\r\n", b"\xef\xbb\xbfa,b\n", b"\na,b\n\n"])
def test_a_header_alone_gives_a_schema_and_no_rows(data):
    assert list(schema_of(data)) == ["a", "b"]
    assert rows(data) == []


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert rows(b'\xef\xbb\xbf"a",b\n1,2\n') == [(1, 2)]
    assert list(schema_of(b'\xef\xbb\xbf"a",b\n1,2\n')) == ["a", "b"]


def test_other_encodings_are_named_with_the_place_and_the_cure():
    with pytest.raises(InvalidEncoding, match=r"byte order mark of utf-16; set csv\.encoding to utf-16$"):
        schema_of("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(InvalidEncoding, match=r"byte order mark of utf-8; set csv\.encoding to utf-8$"):
        schema_of("a,b\n1,2\n".encode("utf-8-sig"), spec=source(encoding="latin-1"))
    with pytest.raises(
        InvalidEncoding, match=r"byte 2, in the first record: 0xe9 is not utf-8; set csv\.encoding"
    ):
        schema_of(b"a,\xe9\n1,2\n")


def test_chunks_start_at_the_first_record_at_or_after_each_multiple():
    data = b'a,b\n1,"x\ny"\n22,z\n3,w\n'  # records start at 4, 12 and 17; the file has 21 bytes
    assert extents(data, chunk_bytes=12) == [[(0, 4, 12)], [(0, 12, 21)]]
    assert extents(data, chunk_bytes=8) == [[(0, 4, 12)], [(0, 12, 17)], [(0, 17, 21)]]
    assert extents(data, chunk_bytes=1) == [[(0, 4, 12)], [(0, 12, 17)], [(0, 17, 21)]]
    assert extents(data, chunk_bytes=100) == [[(0, 4, 21)]]


def test_a_boundary_after_many_buffers_is_the_right_one(monkeypatch):
    data = b"a\n" + b'"' + b"x\n" * 5000 + b'"\nz\n'
    monkeypatch.setattr(cuts, "_BUFFER", 7)
    assert extents(data, chunk_bytes=50) == [[(0, 2, len(data) - 2)], [(0, len(data) - 2, len(data))]]


def test_small_files_share_a_chunk_of_at_most_64_files_in_file_order():
    contents = [b"a\n1\n"] * 70
    assert [len(chunk) for chunk in extents(*contents, chunk_bytes=1000)] == [64, 6]
    assert extents(*contents[:5], chunk_bytes=4) == [
        [(0, 2, 4), (1, 2, 4)],
        [(2, 2, 4), (3, 2, 4)],
        [(4, 2, 4)],
    ]
    assert rows(b"a\n1\n", b"a\n", b"a\n2.5\n") == [(1.0,), (2.5,)]


@pytest.mark.parametrize(
    ("body", "found", "raw"),
    [
        ('1,"a"b\n2,3\n', "byte 4, line 2: column 'y': text after the closing quote at byte 8;", '1,"a"b'),
        (
            '5"x,1\n"a" ,2\n',
            "byte 10, line 3: column 'x': text after the closing quote at byte 12;",
            '"a" ,2',
        ),
        ('1,x\n2,"a\n', "byte 8, line 3: column 'y': the quote at byte 10 is never closed;", '2,"a'),
        ('"1",x\n"2\n",y\r"a', "byte 17, line 4: column 'x': the quote at byte 17 is never closed;", '"a'),
    ],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_quote_that_is_no_csv_is_refused_with_record_column_reason_and_text(body, found, raw, packed):
    with pytest.raises(BadRow) as caught:
        rows(
            packed(("x,y\n" + body).encode()),
            spec=source({"x": "string", "y": "string"}),
            chunk_bytes=3,
            batch_bytes=5,
        )
    detail = caught.value.detail.replace(" of the decompressed data", "")
    assert detail.startswith(f"file:///data/t0: {found}")
    assert detail.endswith(f"the record is {raw!r}")


def test_a_quote_behind_a_backslash_is_told_as_escaped():
    data, types = b'x,y\na,1\n"b\\"c",2\n', {"x": "string", "y": "int64"}
    with pytest.raises(
        BadRow, match=r'closing quote at byte 11; the backslash .* csv\.escape to "\\\\"; the'
    ):
        rows(data, spec=source(types))
    assert rows(data, spec=source(types, escape="\\")) == [("a", 1), ('b"c', 2)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 10, 11])
def test_text_after_a_quote_is_found_at_the_same_byte_in_buffers_of_any_size(size, monkeypatch):
    monkeypatch.setattr(cuts, "_BUFFER", size)
    with pytest.raises(
        BadRow,
        match=r"byte 4, line 2: column 'y': text after the closing quote at byte 14; .*; "
        r"the record is '\"a\\n\",\"b\"\"x\"z'",
    ):
        schema_of(b'x,y\n"a\n","b""x"z\n')


def test_a_fault_in_an_endless_record_is_named_by_its_byte_alone(monkeypatch):
    monkeypatch.setattr(faults, "_HELD", 40)
    monkeypatch.setattr(faults, "_BUFFER", 8)
    with pytest.raises(BadRow, match=r"t0: byte 66, line 2: text after the closing quote at byte 66; double"):
        schema_of(b"x,y\n" + b"1" * 60 + b',""b\n')
    with pytest.raises(
        BadRow, match=r"t0: byte 64, line 17: column 'y': text after the closing quote at byte 67; double"
    ):
        schema_of(b"x,y\n" + b"1,2\n" * 15 + b'3,""4\n')


def test_planning_is_a_function_of_the_bytes():
    data = b"a,b\n" + b'1,"x\n"\n' * 5000
    with opened(data, data) as files:
        first, second = plan(files, source(), 1000), plan(files, source(), 1000)
    assert first == second
    assert first.extents[0][0] == Extent(0, 4, 1005, None)


VALUES = ("1", "2.5", "true", "2024-01-02", "2024-01-02 03:04", "x", "", '""', "007")


def test_small_files_that_are_sampled_together_have_the_types_that_one_file_of_their_rows_has():
    """The samples of neighbours are read together; those of another header, or with a NUL, are not."""
    chance = random.Random(7)
    for _ in range(60):
        values = chance.sample(VALUES, chance.randint(1, 3))
        cells = [chance.choice(values) for _ in range(chance.randint(2, 12))]
        one = "".join(f"{cell},a\n" for cell in cells)
        many = [f"v,k\n{cell},a\n" if chance.random() < 0.7 else f"k,v\na,{cell}\n" for cell in cells]
        keyed = Uses((Mention(("group_by", 0), "v", key=True), Mention(("where",), "v", value=True)))
        with opened(f"v,k\n{one}".encode()) as whole, opened(*map(str.encode, many)) as parts:
            expected, found = (plan(files, source(), 1 << 20, uses=keyed) for files in (whole, parts))
        assert [(f.name, f.type) for f in found.schema.fields] == [
            (f.name, f.type) for f in expected.schema.fields
        ], cells
