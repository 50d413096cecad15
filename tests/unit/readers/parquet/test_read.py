import io
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import BadRow, CorruptFile, InvalidEncoding, NotSupported, SchemaConflict, TypeMismatch
from shared.spec.source import ParquetOptions
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, rows, schema_of, source, tables
from worker_service.readers import plan

MOMENT = datetime.fromisoformat("2024-01-02")


def parquet(table, **options):
    out = io.BytesIO()
    pq.write_table(pa.table(table) if isinstance(table, dict) else table, out, **options)
    return out.getvalue()


def uses_of(*columns):
    return Uses(tuple(Mention((), column, value=True) for column in columns))


def test_types_become_ours_and_columns_of_others_are_no_ones():
    data = parquet({
        "i8": pa.array([1], pa.int8()), "u64": pa.array([1], pa.uint64()),
        "f32": pa.array([0.5], pa.float32()), "b": [True],
        "s": ["x"], "ls": pa.array(["x"], pa.large_string()), "ds": pa.array(["x"]).dictionary_encode(),
            "d": [date(2024, 1, 2)],
        "dec": [Decimal("1.50")], "ts": pa.array([MOMENT], pa.timestamp("ns")),
        "tz": pa.array([MOMENT], pa.timestamp("ms", "Asia/Seoul")), "null": pa.nulls(1),
        "list": [[1]], "struct": [{"a": 1}], "binary": [b"x"], "time": pa.array([1], pa.time32("s")),
        "wide": pa.array([Decimal(1)], pa.decimal256(50, 2)),
    })  # fmt: skip
    assert schema_of(data) == {
        "i8": "int64", "u64": "int64", "f32": "float64", "b": "bool", "s": "string", "ls": "string",
        "ds": "string", "d": "date",
        "dec": "decimal(3,2)", "ts": "timestamp", "tz": "timestamptz", "null": "int64",
        "struct.a": "int64", "time": "string",
    }  # fmt: skip
    [frame] = tables(data)
    text = pa.dictionary(pa.int32(), pa.string())
    assert frame.schema.types == [
        pa.int64(), pa.int64(), pa.float64(), pa.bool_(), text, text, text, pa.date32(), pa.decimal128(3, 2),
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"), pa.int64(), pa.int64(), pa.string(),
    ]  # fmt: skip
    assert rows(data) == [
        (
            1,
            1,
            0.5,
            True,
            "x",
            "x",
            "x",
            date(2024, 1, 2),
            Decimal("1.50"),
            MOMENT,
            MOMENT.replace(tzinfo=UTC),
            None,
            1,
            "00:00:01",
        )
    ]


def test_rows_equal_those_that_were_written_at_any_chunk_and_batch_size():
    written = [(i, f"k{i % 11}", i / 7) for i in range(5000)]
    data = parquet(dict(zip("nsf", map(list, zip(*written, strict=True)), strict=True)), row_group_size=300)
    for chunk_bytes, batch_bytes in ((1, 100), (5000, 1 << 20), (1 << 30, 999)):
        assert rows(data, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes) == written
    assert rows(data, columns=["f", "n"]) == [(f, n) for n, _, f in written]


def test_a_file_that_another_engine_wrote_is_read(tmp_path):
    duckdb.sql(
        "COPY (SELECT i, 'g' || i % 3 AS g, (i / 4)::decimal(9,2) AS d FROM range(1000) t(i)) "
        f"TO '{tmp_path}/d.parquet'"
    )
    expected = duckdb.sql(f"FROM '{tmp_path}/d.parquet'").fetchall()
    assert rows((tmp_path / "d.parquet").read_bytes()) == expected


def test_extents_are_row_groups_with_exact_counts_and_small_ones_share_a_chunk():
    data = parquet({"n": list(range(1000))}, row_group_size=100, use_dictionary=False)
    with opened(data) as files:
        one_each = plan(files, source(), 1).extents
        assert [(e.start, e.end, e.rows) for [e] in one_each] == [(i, i + 1, 100) for i in range(10)]
        some = plan(files, source(), 3000).extents
        assert sum(e.rows for [e] in some) == 1000
        assert 1 < len(some) < 10
        assert len(plan(files, source(), 1 << 30).extents) == 1


def test_without_columns_rows_are_counted():
    frames = tables(parquet({"n": list(range(1000))}), columns=[], batch_bytes=400)
    assert [frame.column_names for frame in frames] == [[""]] * len(frames)
    assert sum(frame.num_rows for frame in frames) == 1000


def test_an_empty_table_has_a_schema_and_no_chunk():
    data = parquet({"n": pa.array([], pa.int32())})
    assert schema_of(data) == {"n": "int64"}
    assert rows(data) == []


def test_files_may_differ_in_order_and_number_types_but_not_in_columns():
    first, second = parquet({"a": [1], "d": [Decimal("1.5")]}), parquet({"d": [Decimal("12.25")], "a": [2.5]})
    assert schema_of(first, second) == {"a": "float64", "d": "decimal(4,2)"}
    assert rows(first, second) == [(1.0, Decimal("1.50")), (2.5, Decimal("12.25"))]
    with pytest.raises(SchemaConflict, match='t1 lacks "d": it has "a", "b"'):
        schema_of(first, parquet({"a": [1], "b": [1]}))
    with pytest.raises(SchemaConflict, match=r'column "a" is string in file:///data/t1 and int64 before it'):
        schema_of(first, parquet({"a": ["x"], "d": [Decimal(1)]}))
    with pytest.raises(SchemaConflict, match="one format"):
        schema_of(first, b"a,d\n1,2\n")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([2**63], pa.uint64()), "int64"),
        (pa.array([1], pa.timestamp("ns")), "timestamp"),
        (pa.array([1.5]), "int64"),
        (pa.array([2**53 + 1]), "float64"),
        (pa.array(["007"]), "int64"),
        (pa.array([Decimal("1.25")]), "decimal(3,1)"),
    ],
)
def test_a_value_that_would_change_is_an_error_that_names_the_column(values, kind):
    data = parquet({"x": values, "y": [1]})
    types = {} if schema_of(data)["x"] == kind else {"x": kind}
    with pytest.raises(BadRow, match="column 'x'"):
        rows(data, spec=source(types))


CANNOT = {
    "list": (pa.array([[1]]), "list<element: int64>"),
    "map": (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "map<string, int64 "),
    "duration": (pa.array([1], pa.duration("s")), "duration"),
    "wide": (pa.array([Decimal(1)], pa.decimal256(50, 2)), "decimal256(50, 2)"),
    "binary": (pa.array([b"x"]), "binary"),
    "struct": (pa.array([{"a": 1}]), "struct<a: int64>"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_a_column_in_use_that_cannot_be_read_is_named_with_its_type(name):
    values, told = CANNOT[name]
    data = parquet({"x": values, "y": [1]})
    with opened(data) as files:
        assert plan(files, source(), 1000, uses=uses_of("y")).schema.names == ["y"]
        with pytest.raises(NotSupported) as raised:
            plan(files, source(), 1000, uses=uses_of("x"))
    assert f'column "x" has the type {told}' in raised.value.detail


def test_bytes_are_text_where_the_spec_declares_a_type():
    data = parquet(
        {"u": [b"caf\xc3\xa9", None, b"a"], "n": [b"1", b"2", b"3"], "f": pa.array([b"a"] * 3, pa.binary(1))}
    )
    spec = source({"u": "string", "n": "int64", "f": "string"})
    assert rows(data, spec=spec) == [("café", 1, "a"), (None, 2, "a"), ("a", 3, "a")]
    with pytest.raises(InvalidEncoding, match=r"row 2: column 'u': the bytes '\\\\xff' are no text in UTF-8"):
        rows(parquet({"u": [b"a", b"\xff"]}), spec=source({"u": "string"}))


def test_fields_of_structs_have_dotted_names_and_are_null_where_a_struct_is():
    users = pa.array([{"id": 1, "name": {"first": "x"}}, None, {"id": None, "name": None}])
    data = parquet({"user": users, "k": ["a", "b", "c"]})
    assert schema_of(data) == {"user.id": "int64", "user.name.first": "string", "k": "string"}
    assert rows(data) == [(1, "x", "a"), (None, None, "b"), (None, None, "c")]
    assert rows(data, columns=["user.name.first"]) == [("x",), (None,), (None,)]


def test_a_name_that_occurs_twice_is_an_error_where_it_is_used():
    twice = pa.Table.from_arrays([pa.array([1]), pa.array(["x"]), pa.array([2])], ["a", "a", "b"])
    with opened(parquet(twice)) as files:
        assert plan(files, source(), 1000, uses=uses_of("b")).schema.names == ["b"]
        with pytest.raises(SchemaConflict, match=r"there are 2 columns of the name \(int64, string\)"):
            plan(files, source(), 1000, uses=uses_of("a"))
    assert rows(parquet(twice)) == [(2,)]


def test_times_of_day_are_text_with_the_digits_that_they_have():
    micros = [3_723_000_000, 3_723_500_000, None, 36_000_000_001, 0]
    data = parquet(
        {
            "t": pa.array(micros, pa.time64("us")),
            "m": pa.array([1500, 0, 86_399_999, 60_000, 1], pa.time32("ms")),
        }
    )
    assert rows(data) == [
        ("01:02:03", "00:00:01.5"), ("01:02:03.5", "00:00:00"), (None, "23:59:59.999"),
        ("10:00:00.000001", "00:01:00"), ("00:00:00", "00:00:00.001"),
    ]  # fmt: skip


INT96 = [
    None if text is None else datetime.fromisoformat(text)
    for text in ("0001-01-01", "9999-12-31 23:59:59.999999", None, "1582-10-10", "2024-01-02")
]


def test_int96_holds_microseconds_of_all_years():
    table = pa.table({"t": pa.array(INT96, pa.timestamp("us")), "k": list("abcde")})
    data = parquet(table, use_deprecated_int96_timestamps=True, row_group_size=2)
    assert rows(data, batch_bytes=1) == list(zip(INT96, "abcde", strict=True))


@pytest.mark.parametrize("int96", [False, True])
def test_a_time_finer_than_a_microsecond_is_a_bad_row_or_is_cut_off(int96):
    nanoseconds = [1_700_000_000_123_456_001, None, -1, 1_700_000_000_123_456_000]
    table = {"t": pa.array(nanoseconds, pa.timestamp("ns")), "n": [1, 2, 3, 4]}
    options = {"use_deprecated_int96_timestamps": True} if int96 else {"version": "2.6"}
    data = parquet(table, **options)
    with pytest.raises(
        BadRow, match=r"row 1: column 't': .*finer than a microsecond; set source.parquet.nanos"
    ):
        rows(data)
    spec = source().model_copy(update={"parquet": ParquetOptions(nanoseconds="truncate")})
    before = datetime.fromisoformat("1969-12-31 23:59:59.999999")
    there = datetime.fromisoformat("2023-11-14 22:13:20.123456")
    assert rows(data, spec=spec) == [(there, 1), (None, 2), (before, 3), (there, 4)]


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        (
            pa.array([1, 0]),
            "bool",
            'column "x" is int64 and never bool; source.types may say decimal, float64',
        ),
        (pa.array([1, 0]), "timestamp", "never timestamp"),
        (
            pa.array([MOMENT], pa.timestamp("us", "UTC")),
            "date",
            "never date; source.types may say string, timestamptz",
        ),
    ],
)
def test_a_declared_type_that_would_have_to_be_guessed_is_refused_by_the_plan(values, kind, told):
    with pytest.raises(TypeMismatch) as raised:
        schema_of(parquet({"x": values}), spec=source({"x": kind}))
    assert told in raised.value.detail
    assert raised.value.errors[0]["pointer"] == "#/source/types/x"


def test_a_double_is_the_decimal_that_it_is_written_as_and_a_decimal_the_nearest_double():
    data = parquet({"f": [1.1, 1e-2, None], "d": [Decimal("9007199254740993.1"), Decimal("0.3"), None]})
    spec = source({"f": "decimal(4,2)", "d": "float64"})
    assert rows(data, spec=spec) == [
        (Decimal("1.10"), 9007199254740994.0),
        (Decimal("0.01"), 0.3),
        (None, None),
    ]
    with pytest.raises(BadRow, match=r"row 2: column 'x': '1.255' is no decimal\(4,2\)"):
        rows(parquet({"x": [1.25, 1.255]}), spec=source({"x": "decimal(4,2)"}))


def test_a_declared_date_takes_the_midnights_of_a_timestamp():
    data = parquet({"x": pa.array([MOMENT, None], pa.timestamp("ns"))})
    assert rows(data, spec=source({"x": "date"})) == [(MOMENT.date(),), (None,)]
    with pytest.raises(BadRow, match=r"row 1: column 'x': '2024-01-02 03:00:00\.000000' is no date"):
        rows(
            parquet({"x": pa.array([MOMENT.replace(hour=3)], pa.timestamp("us"))}), spec=source({"x": "date"})
        )


def test_declared_types_that_keep_every_value_are_obeyed():
    data = parquet(
        {"i": [1, None], "s": ["2024-01-02", ""], "t": [MOMENT, None], "f": [2.0, 3.0], "n": ["1.5", None]}
    )
    spec = source(
        {"i": "decimal(22,2)", "t": "timestamptz", "f": "int64", "n": "decimal(5,1)"}, timezone="Asia/Seoul"
    )
    assert rows(data, spec=spec) == [
        (Decimal("1.00"), "2024-01-02", datetime(2024, 1, 1, 15, tzinfo=UTC), 2, Decimal("1.5")),
        (None, "", None, 3, None),
    ]


def test_a_local_time_without_one_moment_and_an_integer_past_int64_are_told_the_cure():
    spec = source({"t": "timestamptz"}, timezone="Europe/Amsterdam")
    for local, told in (
        ("2025-10-26T02:30", "twice; set source.ambiguous_times"),
        ("2025-03-30T02:30", "skip"),
    ):
        with pytest.raises(BadRow, match=rf"column 't': the clocks of Europe/Amsterdam .*{told}"):
            rows(parquet({"t": pa.array([local]).cast(pa.timestamp("us"))}), spec=spec)
    large = parquet({"n": pa.array([1, 2**63 + 1], pa.uint64())})
    with pytest.raises(BadRow, match=r"no int64.*; write \{\"n\": \"decimal\(20,0\)\"\} into source.types"):
        rows(large)
    assert rows(large, spec=source({"n": "decimal(20,0)"})) == [(1,), (2**63 + 1,)]


def test_a_local_time_after_the_last_listed_change_of_its_zone_is_its_moment():
    data = parquet({"t": pa.array(["2040-07-01T12:00", None, "2024-07-01T12:00"]).cast(pa.timestamp("us"))})
    spec = source({"t": "timestamptz"}, timezone="America/New_York")
    assert rows(data, spec=spec) == [
        (datetime(2040, 7, 1, 16, tzinfo=UTC),),
        (None,),
        (datetime(2024, 7, 1, 16, tzinfo=UTC),),
    ]


@pytest.mark.parametrize("data", [b"PAR1", b"not parquet at all" * 10, b"a,b\n1,2\n"])
def test_what_is_not_parquet_is_corrupt(data):
    with pytest.raises(CorruptFile, match="file:///data/t0: the Parquet file cannot be read"):
        schema_of(data, spec=source(file_format="parquet"))


def test_damage_that_a_checksum_or_the_size_tells_is_noticed():
    data = parquet(
        {"n": list(range(100_000))}, compression="none", use_dictionary=False, write_page_checksum=True
    )
    with pytest.raises(CorruptFile):
        rows(data[:1000] + b"\xff" * 1000 + data[2000:])
    with pytest.raises(CorruptFile):
        schema_of(data[: len(data) // 2])


def test_a_parquet_file_is_known_by_its_first_bytes():
    assert schema_of(parquet({"n": [1]}), spec=source()) == {"n": "int64"}


YEARS = {
    "10000-01-01": 2_932_897,
    "-0001-12-31": -719_529,
    "0000-12-31": -719_163,
}
"""The days from 1970-01-01 of some that lie outside the years 1 to 9999."""


@pytest.mark.parametrize("said", YEARS)
@pytest.mark.parametrize(
    ("arrow", "a_day", "declared"),
    [
        (pa.date32(), 1, None),
        (pa.date64(), 86_400_000, None),
        (pa.timestamp("s"), 86_400, None),
        (pa.timestamp("ms"), 86_400_000, None),
        (pa.timestamp("us"), 86_400_000_000, None),
        (pa.timestamp("us", "Asia/Seoul"), 86_400_000_000, None),
        (pa.timestamp("us"), 86_400_000_000, "timestamptz"),
        (pa.date32(), 1, "timestamptz"),
        (pa.date32(), 1, "timestamp"),
    ],
    ids=str,
)
def test_a_date_or_time_outside_the_years_1_to_9999_is_told_with_its_row(said, arrow, a_day, declared):
    kinds = {"int32": pa.int32(), "int64": pa.int64()}["int32" if arrow == pa.date32() else "int64"]
    days = [0, None, 2_932_895, -719_160, YEARS[said]]
    values = pa.array([None if day is None else day * a_day for day in days], kinds).cast(arrow)
    data, spec = (
        parquet({"x": values, "y": list(range(5))}, row_group_size=2),
        source({"x": declared} if declared else {}),
    )

    with pytest.raises(BadRow, match="row 5: column 'x': ") as raised:
        rows(data, spec=spec, chunk_bytes=1, batch_bytes=1)
    assert "outside the years 1 to 9999" in raised.value.detail
    assert said in raised.value.detail
    assert len(rows(parquet({"x": values.slice(0, 4), "y": list(range(4))}), spec=spec)) == 4
