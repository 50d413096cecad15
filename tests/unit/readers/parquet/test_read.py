import io
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import BadRow, CorruptFile, SchemaConflict, UnknownColumn
from tests.support.datasets import opened, rows, schema_of, source, tables
from worker_service.readers import plan

MOMENT = datetime.fromisoformat("2024-01-02")


def parquet(table, **options):
    out = io.BytesIO()
    pq.write_table(pa.table(table) if isinstance(table, dict) else table, out, **options)
    return out.getvalue()


def test_types_become_ours_and_the_rest_is_left_out():
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
    }  # fmt: skip
    [frame] = tables(data)
    text = pa.dictionary(pa.int32(), pa.string())
    assert frame.schema.types == [
        pa.int64(), pa.int64(), pa.float64(), pa.bool_(), text, text, text, pa.date32(), pa.decimal128(3, 2),
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"), pa.int64(),
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


def test_a_nested_column_is_unknown():
    with pytest.raises(UnknownColumn, match='no column "x"; the data has "y"'):
        schema_of(parquet({"x": [[1]], "y": [1]}), spec=source({"x": "int64"}))


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
