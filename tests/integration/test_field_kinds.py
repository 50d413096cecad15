"""Kinds of faults from public bug reports whose inputs are made here: the right answer, or a clear error."""

import gzip
import io
import lzma
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

MAX_AND_MIN = [{"fn": "max", "column": "v"}, {"fn": "min", "column": "v"}]


def spec(uris, aggregates, group_by=(), **source):
    uris = [uris] if isinstance(uris, str) else uris
    return {"source": {"uris": uris, **source}, "group_by": list(group_by), "aggregates": aggregates}


def failed(stack, body):
    """The error of a job that is accepted and fails, its code and all that it says."""
    job = stack.run(body)
    assert job["state"] == "failed", stack.rows(job["id"])
    return job["error"]["code"], job["error"]["detail"]


def succeeded(stack, body):
    job = stack.run(body)
    assert job["error"] is None, job["error"]
    return stack.rows(job["id"])


def parquet(**columns):
    table, made = pa.table(columns), io.BytesIO()
    pq.write_table(table, made)
    return made.getvalue()


def test_a_late_text_never_turns_the_largest_number_into_a_text(stack):
    lines = [f"{i % 2},{(i + 1) / 2:.1f}" for i in range(400_000)]
    lines[272_000] = "0,11.0.1"
    uri = stack.write("kinds/late.csv", "k,v\n" + "\n".join(lines) + "\n")
    code, detail = failed(stack, spec(uri, MAX_AND_MIN, ["k"]))
    assert code in {"type_mismatch", "bad_row"}
    assert "11.0.1" in detail
    assert "line 272002" in detail


@pytest.mark.parametrize("written", ["007", "+7", " 7", "7 ", "7.0"])
def test_a_padded_integer_is_a_bad_row_that_names_its_cure_or_a_number_where_that_is_declared(stack, written):
    uri = stack.write(f"kinds/padded_{written!r}.csv", f"k,v\na,1\na,{written}\n")
    total = [{"fn": "sum", "column": "v"}]
    code, detail = failed(stack, spec(uri, total, types={"v": "int64"}))
    assert code == "bad_row"
    assert repr(written) in detail
    assert ("trim" if " " in written else "lenient") in detail
    cured = {"type": "int64", "lenient": True, "trim": True}
    assert succeeded(stack, spec(uri, total, types={"v": cured})) == [{"sum_v": 8}]


def test_an_exponent_in_a_decimal_is_a_bad_row_or_a_number_where_that_is_declared(stack):
    uri = stack.write("kinds/exponent.csv", "k,v\na,1\na,1e3\n")
    total = [{"fn": "sum", "column": "v"}]
    code, detail = failed(stack, spec(uri, total, types={"v": "decimal(18,2)"}))
    assert code == "bad_row"
    assert "'1e3'" in detail
    assert "lenient" in detail
    [row] = succeeded(stack, spec(uri, total, types={"v": {"type": "decimal(18,2)", "lenient": True}}))
    assert Decimal(row["sum_v"]) == 1001


def test_an_integer_above_64_bits_is_never_compared_as_text(stack):
    uri = stack.write("kinds/above.csv", "v\n9\n100\n12111450436133142103\n")
    code, detail = failed(stack, spec(uri, MAX_AND_MIN))
    assert code == "type_mismatch"
    assert "12111450436133142103" in detail
    assert "decimal(20,0)" in detail
    [row] = succeeded(stack, spec(uri, MAX_AND_MIN, types={"v": "decimal(20,0)"}))
    assert (int(row["max_v"]), int(row["min_v"])) == (12111450436133142103, 9)


def test_thousands_are_never_compared_as_text(stack):
    uri = stack.write("kinds/thousands.csv", 'v\n"1,234.50"\n99.5\n7\n')
    code, detail = failed(stack, spec(uri, MAX_AND_MIN))
    assert code == "type_mismatch"
    assert "1,234.50" in detail
    assert "thousands" in detail
    cured = {"type": "float64", "thousands": ","}
    assert succeeded(stack, spec(uri, MAX_AND_MIN, types={"v": cured})) == [{"max_v": 1234.5, "min_v": 7.0}]


def orc():
    made = io.BytesIO()
    pyarrow.orc.write_table(pa.table({"k": ["a"], "v": [1]}), made)
    return made.getvalue()


FOREIGN = {
    "html": (b"<!DOCTYPE html>\n<html><body>moved</body></html>\n", "HTML"),
    "feather": (b"FEA1" + bytes(100) + b"FEA1", "Feather"),
    "orc": (orc(), "ORC"),
    "xls": (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1024), "xls"),
    "parquet-gzip": (gzip.compress(parquet(k=["a"], v=[1])), "Parquet"),
    "gzip-gzip": (gzip.compress(gzip.compress(b"k,v\na,1\n")), "gzip"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_content_that_is_no_csv_is_named(stack, kind):
    content, name = FOREIGN[kind]
    uri = stack.write(f"kinds/{kind}/data.csv", content)
    _, detail = failed(stack, spec(uri, [{"fn": "sum", "column": "v"}], ["k"]))
    assert name in detail


def test_an_xz_file_with_another_name_is_read(stack):
    uri = stack.write("kinds/xz/data.csv", lzma.compress(b"k,v\na,1\na,2\n"))
    assert succeeded(stack, spec(uri, [{"fn": "sum", "column": "v"}], ["k"])) == [{"k": "a", "sum_v": 3}]


UNREADABLE = {
    "decimal256": pa.array([Decimal(1)], pa.decimal256(50, 0)),
    "list": pa.array([[1]]),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "duration": pa.array([1], pa.duration("us")),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_parquet_column_that_cannot_be_read_is_named_with_its_type(stack, kind):
    uri = stack.write(f"kinds/{kind}.parquet", parquet(v=UNREADABLE[kind], n=pa.array([1])))
    _, detail = failed(stack, spec(uri, [{"fn": "max", "column": "v"}]))
    assert "'v'" in detail or '"v"' in detail
    assert kind in detail
    assert succeeded(stack, spec(uri, [{"fn": "sum", "column": "n"}])) == [{"sum_n": 1}]


def test_a_column_named_twice_in_a_parquet_file_is_an_error_where_it_is_used(stack):
    made = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["v", "v", "n"]), made)
    uri = stack.write("kinds/twice.parquet", made.getvalue())
    _, detail = failed(stack, spec(uri, [{"fn": "sum", "column": "v"}]))
    assert any(word in detail for word in ("twice", "more than once", "2 columns"))
    assert succeeded(stack, spec(uri, [{"fn": "sum", "column": "n"}])) == [{"sum_n": 3}]


def test_overlapping_uris_count_each_file_once_with_a_warning(stack):
    stack.write("kinds/overlap/d2.csv", "v\n2\n")
    one = stack.write("kinds/overlap/d1.csv", "v\n1\n")
    job = stack.run(spec([one.replace("d1", "d*"), one], [{"fn": "sum", "column": "v"}]))
    assert stack.rows(job["id"]) == [{"sum_v": 3}]
    assert "d1.csv" in str(job["warnings"])


def test_a_date_is_the_same_in_parquet_and_in_csv(stack):
    times = pd.to_datetime(["2024-05-01 00:00:00", "2024-05-02 00:00:00"])
    as_parquet = stack.write(
        "kinds/day.parquet", parquet(day=pa.array(times, pa.timestamp("ns")), v=pa.array([1, 2]))
    )
    as_csv = stack.write("kinds/day.csv", "day,v\n2024-05-01 00:00:00,1\n2024-05-02 00:00:00,2\n")
    right = [{"day": "2024-05-01", "sum_v": 1}, {"day": "2024-05-02", "sum_v": 2}]
    for uri in (as_parquet, as_csv):
        found = succeeded(stack, spec(uri, [{"fn": "sum", "column": "v"}], ["day"], types={"day": "date"}))
        assert sorted(found, key=lambda row: row["day"]) == right
    for uri in (
        stack.write(
            "kinds/noon.parquet", parquet(day=pa.array(times + pd.Timedelta("12h")), v=pa.array([1, 2]))
        ),
        stack.write("kinds/noon.csv", "day,v\n2024-05-01 12:00:00,1\n"),
    ):
        code, _ = failed(stack, spec(uri, [{"fn": "sum", "column": "v"}], ["day"], types={"day": "date"}))
        assert code == "bad_row"


def test_a_file_of_5000_columns_is_answered_in_csv_and_in_parquet(stack):
    names = [f"c{i}" for i in range(1, 5001)]
    frame = pd.DataFrame({name: [(i * row) % 7 for row in range(150)] for i, name in enumerate(names)})
    right = frame.groupby("c2")["c4999"].sum().to_dict()
    made = io.BytesIO()
    frame.to_parquet(made)
    for uri in (
        stack.write("kinds/wide.csv", frame.to_csv(index=False)),
        stack.write("kinds/wide.parquet", made.getvalue()),
    ):
        found = succeeded(stack, spec(uri, [{"fn": "sum", "column": "c4999"}], ["c2"]))
        assert {row["c2"]: row["sum_c4999"] for row in found} == right
