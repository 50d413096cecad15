import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.plan import Extent
from shared.errors import BadRow, InvalidEncoding, NotSupported, SchemaWidened, UnknownColumn
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, rows, schema_of, source, tables
from worker_service.readers import batches, plan


def lines(*records, end="\n"):
    return "".join((r if isinstance(r, str) else json.dumps(r)) + end for r in records).encode()


def uses_of(*columns):
    return Uses(tuple(Mention((), column, value=True) for column in columns))


def test_values_have_their_json_types_and_what_is_missing_is_null():
    data = lines(
        {"i": 1, "f": 1.5, "s": "7", "b": True, "n": None, "l": [1, {"a": 2}]},
        {"i": -(2**63), "f": 2, "s": "é", "b": False, "l": []},
        {},
    )
    assert schema_of(data) == {
        "i": "int64", "f": "float64", "s": "string", "b": "bool", "n": "int64", "l": "string",
    }  # fmt: skip
    assert rows(data) == [
        (1, 1.5, "7", True, None, '[1,{"a":2}]'),
        (-(2**63), 2.0, "é", False, None, "[]"),
        (None,) * 6,
    ]


def test_rows_are_the_same_at_every_cut_whatever_ends_a_line():
    records = [{"k": f"k{i % 3}", "n": i, "x": i / 4 if i % 2 else None} for i in range(12)]
    expected = [(r["k"], r["n"], r["x"]) for r in records]
    for end in ("\n", "\r\n", "\n\n", " \n \t\n"):
        for size in (1, 40, 41, 90, 1000):
            assert rows(lines(*records, end=end), chunk_bytes=size, batch_bytes=100) == expected
    for batch_bytes in range(1, 100, 7):
        assert rows(lines(*records)[:-1], chunk_bytes=150, batch_bytes=batch_bytes) == expected
    assert rows(b"\xef\xbb\xbf" + lines(*records)) == expected
    assert rows(gzip.compress(lines(*records)), batch_bytes=10) == expected


def test_the_content_tells_the_format_and_the_fields_need_no_order():
    assert rows(b' \n{"b": 1, "a": 2}\n{"a": 3, "b": 4}\n') == [(1, 2), (4, 3)]


def test_fields_of_objects_have_dotted_names_and_so_have_keys_with_dots():
    data = lines(
        {"user": {"id": 1, "name": {"first": "x"}}},
        {"user.id": 2, "user": {"name.first": "y"}},
        {"user": None},
        {"user": 5},
    )
    spec = source({"user": "string"})
    with opened(data) as files:
        schema = plan(files, spec, 1000, uses=uses_of("user.id", "user.name.first", "user")).schema
    assert schema.names == ["user.id", "user.name.first", "user"]
    assert rows(data, columns=["user.id", "user.name.first"]) == [
        (1, "x"),
        (2, "y"),
        (None, None),
        (None, None),
    ]
    assert [r for r, in rows(data, columns=["user"])] == [
        '{"id":1,"name":{"first":"x"}}', '{"name.first":"y"}', None, "5",
    ]  # fmt: skip


def test_a_declared_type_is_read_from_texts_and_numbers():
    data = lines(
        '{"d": "2024-01-02", "t": "2024-01-02T03:04:05Z", "m": 1.10, "n": "7", "s": 1.50, "b": "true"}',
        '{"d": null, "t": null, "m": 15e-1, "n": 8, "s": "x", "b": false}',
    )
    types = {"d": "date", "t": "timestamptz", "m": "decimal(9,2)", "n": "int64", "s": "string", "b": "bool"}
    assert rows(data, spec=source(types)) == [
        (date(2024, 1, 2), datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), Decimal("1.10"), 7, "1.50", True),
        (None, None, Decimal("1.50"), 8, "x", False),
    ]


BAD = {
    "no JSON": ('{"n": 1', "no JSON: Expecting ',' delimiter at byte 7 of the line"),
    "not even a beginning": ("n=1", "no JSON: Expecting value at byte 0 of the line"),
    "two on a line": ('{"n": 1} {"n": 2}', "no JSON: Extra data at byte 8 of the line"),
    "no object": ("[1]", "no JSON object"),
    "twice": ('{"n": 1, "n": 2}', "column 'n': the field occurs twice in the record"),
    "twice inside": ('{"o": {"n": 1}, "o": {"n": 2}}', "column 'o.n': the field occurs twice"),
    "another type": ('{"n": "x"}', "column 'n': 'x' is no int64"),
    "too large": ('{"n": 9223372036854775808}', "column 'n': '9223372036854775808' is no int64"),
    "a fraction": ('{"n": 1.0}', "column 'n': '1.0' is no int64"),
    "an object": ('{"n": {}}', "column 'n': '{}' is no int64"),
    "NUL": ('{"s": "\\u0000"}', "column 's': the text holds the character NUL"),
    "half a character": ('{"s": "\\ud800"}', r"column 's': '\ud800' is half a character"),
    "control character": ('{"n": 1, "s": "a\tb"}', "no JSON: Invalid control character at byte 16"),
    "too deep": ('{"x": ' + "[" * 501 + "]" * 501 + "}", "values are nested more than 500 deep"),
    "infinity": ('{"x": Inf}', "no JSON: Expecting value at byte 6"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_does_not_fit_is_a_bad_row_with_its_line(name):
    line, told = BAD[name]
    good = [json.dumps({"n": i, "o": {"n": 1}, "s": "t", "x": None}) for i in range(100)]
    spec = source({"n": "int64", "o.n": "int64", "s": "string"})
    data = lines(*good[:70], line, *good[70:])
    byte = len(lines(*good[:70]))
    for batch_bytes in (1, 1 << 20):
        with pytest.raises(BadRow) as raised:
            rows(data, spec=spec, columns=["n", "o.n", "s"], batch_bytes=batch_bytes)
        assert f"file:///data/t0: byte {byte}, line 71: " in raised.value.detail
        assert told in raised.value.detail


def test_a_misfit_of_a_declared_type_is_told_with_the_cure():
    data = lines({"n": 1}, {"n": "$2"}, {"n": 3})
    with pytest.raises(BadRow, match=r"'\$2' is no int64.*; write .*\"strip\": \"\$\".* into source.types"):
        rows(data, spec=source({"n": "int64"}))


def test_what_is_wrong_with_a_field_that_is_not_used_does_not_matter():
    data = lines('{"n": 1, "x": 1, "x": "\\u0000"}', '{"n": 2, "x": "\\ud800"}', '{"n": 3, "x": 1e999}')
    assert rows(data, columns=["n"]) == [(1,), (2,), (3,)]


def test_bytes_that_are_no_text_are_told_with_their_place():
    with pytest.raises(InvalidEncoding, match=r"line 2: byte 7 of the line is not UTF-8: 0xff"):
        rows(lines({"n": 1}) + b'{"s": "\xff"}\n', columns=["n"])


def test_a_later_value_widens_an_undeclared_column_by_its_json_type():
    filler = "x" * 1000
    many = [{"n": i, "b": True, "pad": filler} for i in range(2000)]
    for late, needed in (
        ({"n": 1.5}, {"n": "float64"}),
        ({"n": "5"}, {"n": "string"}),
        ({"n": 2**64 + 1}, {"n": "string"}),
        ({"n": [1], "b": 1}, {"n": "string", "b": "string"}),
    ):
        data = lines(*many[:1930], late, *many)
        with pytest.raises(SchemaWidened, match="in the record at byte") as raised:
            rows(data, columns=["n", "b"])
        assert raised.value.widen == needed


def test_a_field_that_the_samples_miss_is_found_before_it_is_called_unknown():
    filler = [{"n": 1, "pad": "x" * 1000}] * 3000
    data = lines(*filler[:1601], {"late": {"x": 5}}, *filler)
    with opened(data) as files:
        with pytest.raises(UnknownColumn):
            plan(files, source(), 1 << 20, uses=uses_of("late.x"), guess=True)
        assert plan(files, source(), 1 << 20, uses=uses_of("late.x")).schema.names == ["late.x"]
        with pytest.raises(UnknownColumn, match='no column "never"; the data has "n", "pad"'):
            plan(files, source(), 1 << 20, uses=uses_of("never"))


def test_files_may_lack_a_column():
    with opened(lines({"a": 1}), lines({"b": "x"})) as files:
        assert plan(files, source(), 100, uses=uses_of("a", "b")).schema.names == ["a", "b"]
    assert rows(lines({"a": 1, "b": None}), lines({"b": "x"})) == [(1, None), (None, "x")]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'[{"a": 1}]', "is a JSON array: write one object a line"),
        (b'{\n  "a": 1\n}\n', "is a JSON document over several lines"),
        (b'{"a": [\n 1]}\n', "is a JSON document over several lines"),
        (b'{"a": [\n{"b": 1}\n]}\n', "is a JSON document over several lines"),
        ('\ufeff{"a": 1}'.encode("utf-16"), "UTF-16"),
    ],
)
def test_json_that_is_not_one_object_a_line_is_named_with_the_cure(data, told):
    with pytest.raises(NotSupported, match=told):
        schema_of(data, spec=source(file_format="ndjson"))


@pytest.mark.parametrize("file_format", ["auto", "ndjson"])
def test_a_first_line_that_is_cut_off_is_a_bad_row(file_format):
    spec = source({"a": "int64"}, file_format=file_format)
    for others in ([{"a": 2}], [{"a": 2}, {"a": 3}, {"a": 4}], [{"a": 2, "pad": "x" * 2500}] * 3):
        data = lines('{"a": 1,', *others)
        with opened(data) as files:
            schema = plan(files, spec, 1 << 20, uses=uses_of("a")).schema
            [batch] = batches(files[0], Extent(0, 0, len(data)), spec, schema, ["a"], 1 << 20)
        assert batch.table.to_pylist() == [{"a": other["a"]} for other in others]
        assert [row.byte for row in batch.bad_rows()] == [0]


def test_without_columns_lines_are_counted():
    data = lines(*[{"n": i} for i in range(100)], "", " ")
    assert sum(frame.num_rows for frame in tables(data, columns=[], batch_bytes=100)) == 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
CELL = {
    "i": st.integers(-(2**63), 2**63 - 1),
    "f": st.floats(allow_nan=False),
    "s": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "b": st.booleans(),
    "m": st.decimals(-(10**6), 10**6, places=2, allow_nan=False).map(float),
}
RECORD = st.fixed_dictionaries(
    {}, optional={**{k: st.none() | v for k, v in CELL.items()}, "x": JSON, "y.z": JSON}
)


@settings(max_examples=60)
@given(
    records=st.lists(RECORD, min_size=1, max_size=60),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 2000),
    batch=st.integers(1, 2000),
)
def test_many_lines_at_once_mean_what_the_json_module_reads(records, ascii_only, chunk, batch):
    data = "".join(json.dumps(r, ensure_ascii=ascii_only) + "\n" for r in records).encode(
        errors="surrogatepass"
    )
    types = {"i": "int64", "f": "float64", "s": "string", "b": "bool", "m": "decimal(9,2)"}
    first = json.dumps(dict.fromkeys(types)).encode() + b"\n"
    found = rows(first + data, spec=source(types), columns=list(types), chunk_bytes=chunk, batch_bytes=batch)[
        1:
    ]
    expected = [json.loads(json.dumps(r), parse_float=str) for r in records]
    assert found == [
        (
            r.get("i"),
            None if r.get("f") is None else float(r["f"]),
            r.get("s"),
            r.get("b"),
            None if r.get("m") is None else Decimal(r["m"]).quantize(Decimal("0.01")),
        )
        for r in expected
    ]


def test_marks_of_a_declared_column_are_those_of_texts_and_not_of_numbers():
    data = lines({"n": "1.234,5"}, {"n": 1.234}, {"n": -2.5}, {"n": "(2,5)"}, {"n": None}, {"n": 1e2})
    how = {"decimal": ",", "thousands": ".", "negative": ["(5)"]}
    for file in (data, lines({"n": 1.234}) + data):
        values = [value for (value,) in rows(file, spec=source({"n": {"type": "float64", **how}}))]
        assert values[-6:] == [1234.5, 1.234, -2.5, -2.5, None, 100.0]
    spec = source({"n": {"type": "decimal(9,3)", **how}})
    assert rows(data, spec=spec)[:2] == [(Decimal("1234.500"),), (Decimal("1.234"),)]
    with pytest.raises(BadRow, match=r"'1\.234' is no int64"):
        rows(data.split(b"\n", 1)[1], spec=source({"n": {"type": "int64", **how}}))
