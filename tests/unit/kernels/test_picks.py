"""first, last, arg_min, arg_max, any, all: against DuckDB for sql, against pandas for pandas."""

import math

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.kernels.queries import query, rows
from worker_service.kernels import Fold, combine, finalize

PICKS = ["first", "last", "arg_min", "arg_max"]


def random_frame(seed=1, size=3000):
    r = np.random.default_rng(seed)

    def holed(values, share=0.2):
        return pa.array(values, mask=r.random(size) < share)

    return pa.table(
        {
            "n": pa.array(np.arange(size)),
            "g": holed(r.integers(0, 200, size), 0.01),
            "i": holed(r.integers(-5, 5, size)),
            "f": holed(np.where(r.random(size) < 0.1, np.nan, r.integers(-4, 4, size) / 2)),
            "s": holed(np.array(["", "a", "é", "Z", "ab"])[r.integers(0, 5, size)]).dictionary_encode(),
            "b": holed(r.random(size) < 0.5, 0.5),
        }
    )


def asked_as_text(found):
    """NaN equals NaN in the texts."""
    return {key: repr(value) for key, value in found.items()}


@pytest.mark.parametrize("column", ["i", "f", "s", "b"])
def test_in_sql_first_and_last_are_the_values_of_the_first_and_the_last_row_null_or_not(column):
    frame = random_frame()
    found = rows(frame, ["g"], [f"first {column}", f"last {column}"])
    sql = f"SELECT g, first({column} ORDER BY n), last({column} ORDER BY n) FROM frame GROUP BY g"
    expected = {
        key: {f"first {column}": one, f"last {column}": other}
        for key, one, other in duckdb.sql(sql).fetchall()
    }
    assert asked_as_text(found) == asked_as_text(expected)


@pytest.mark.parametrize("column", ["i", "f", "s"])
def test_in_pandas_first_and_last_pass_over_missing_values(column):
    frame = random_frame()
    found = rows(frame, ["g"], [f"first {column}", f"last {column}"], "pandas")
    grouped = frame.to_pandas().astype({column: object}).groupby("g")[column]
    expected = {
        key: [one, other]
        for key, one, other in zip(grouped.first().index, grouped.first(), grouped.last(), strict=True)
    }
    assert {key: list(row.values()) for key, row in found.items()} == {
        key: [None if pd.isna(value) else value for value in row] for key, row in expected.items()
    }


@pytest.mark.parametrize("by", ["i", "f", "s"])
@pytest.mark.parametrize("semantics", ["sql", "pandas"])
def test_arg_min_and_arg_max_take_the_first_row_of_a_tie_and_pass_over_rows_without_by(by, semantics):
    frame = random_frame()
    found = rows(frame, ["g"], [f"arg_min n {by}", f"arg_max n {by}", f"arg_max s {by}"], semantics)
    key = {
        "s": lambda value: value.encode(),
        "i": int,
        "f": lambda value: math.inf if math.isnan(value) else value,
    }[by]
    groups = {}
    for row in frame.to_pylist():
        missing = row[by] is None or (semantics == "pandas" and row[by] != row[by])
        members = groups.setdefault(row["g"], [])
        members += [] if missing else [row]
    if semantics == "pandas":
        del groups[None]
    for group, members in groups.items():
        lowest, highest = (
            pick(members, key=lambda row: key(row[by]), default=dict.fromkeys("ns")) for pick in (min, max)
        )
        assert list(found[group].values()) == [lowest["n"], highest["n"], highest["s"]]
    assert found.keys() == groups.keys()


def test_arg_max_is_that_of_duckdb_where_nothing_ties():
    r = np.random.default_rng(4)
    frame = pa.table(
        {"g": r.integers(0, 50, 2000), "s": [f"s{i}" for i in range(2000)], "x": r.permutation(2000) / 7}
    )
    found = rows(frame, ["g"], ["arg_max s x", "arg_min s x"])
    expected = {key: {"arg_max s x": one, "arg_min s x": other} for key, one, other in duckdb.sql(
        "SELECT g, arg_max(s, x), arg_min(s, x) FROM frame GROUP BY g"
    ).fetchall()}  # fmt: skip
    assert found == expected


def test_the_value_beside_the_largest_may_be_null_and_a_group_without_by_has_none():
    frame = pa.table({"g": [1, 1, 2], "v": [5, None, 7], "by": [1, 2, None]})
    assert rows(frame, ["g"], ["arg_max v by"]) == {1: {"arg_max v by": None}, 2: {"arg_max v by": None}}
    assert rows(frame, ["g"], ["arg_min v by"]) == {1: {"arg_min v by": 5}, 2: {"arg_min v by": None}}


def test_zeros_of_both_signs_tie_and_are_returned_without_a_sign():
    frame = pa.table({"v": [-0.0, 1.0], "by": [0.0, -0.0]})
    found = rows(frame, [], ["arg_min v by", "arg_max v by", "first v"])[None]
    assert [math.copysign(1.0, value) for value in found.values()] == [1.0] * 3
    assert list(found.values()) == [0.0, 0.0, 0.0]


def test_the_order_is_that_of_chunks_and_rows_however_they_are_combined():
    asked = query(pa.table({"v": pa.array([0])}), [], ["first v", "last v"])
    states = []
    for chunk, values in enumerate([[3, 1], [], [2], [9, 4]]):
        fold = Fold(asked, chunk)
        for value in values:
            fold.add(pa.table({"v": [value]}))
        states.append(fold.finish())
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        found = finalize(combine([states[i] for i in order], asked), asked).table.to_pylist()
        assert found == [{"first v": 3, "last v": 4}]


@pytest.mark.parametrize(("semantics", "of_nothing"), [("sql", [None, None]), ("pandas", [False, True])])
def test_any_and_all_pass_over_nulls(semantics, of_nothing):
    frame = pa.table({"g": [1, 1, 2, 2, 3, 4], "b": [True, None, False, True, None, False]})
    found = dict(sorted(rows(frame, ["g"], ["any b", "all b"], semantics).items()))
    assert [list(row.values()) for row in found.values()] == [
        [True, True],
        [True, False],
        of_nothing,
        [False, False],
    ]
    if semantics == "sql":
        expected = duckdb.sql("SELECT g, bool_or(b), bool_and(b) FROM frame GROUP BY g ORDER BY g").fetchall()
        assert [list(row.values()) for row in found.values()] == [list(row[1:]) for row in expected]
    else:
        grouped = frame.to_pandas().groupby("g")["b"]
        assert [list(row.values()) for row in found.values()] == [
            [a, b] for a, b in zip(grouped.any(), grouped.all(), strict=True)
        ]
