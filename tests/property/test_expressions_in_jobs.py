"""Jobs with expressions against DuckDB, and the same bytes for any cut of the work."""

import csv
import io
import random
from datetime import date

import duckdb
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.work import Work

TYPES = {"n": "int64", "k": "string", "i": "int64", "x": "float64", "b": "bool", "d": "date"}
ARROW = {
    "n": pa.int64(),
    "k": pa.string(),
    "i": pa.int64(),
    "x": pa.float64(),
    "b": pa.bool_(),
    "d": pa.date32(),
}
VALUES = (
    st.none() | st.sampled_from(["a", "b", "C"]),
    st.none() | st.integers(-4, 4),
    st.none() | st.sampled_from([-1.5, 0.25, 2.0, 3.75]),
    st.none() | st.booleans(),
    st.none() | st.dates(date(2023, 12, 25), date(2024, 4, 5)),
)
CASES = {
    "derived columns and a condition": (
        {
            "derive": [{"as": "net", "expr": "i * 2 - 1"}, {"as": "big", "expr": "net > x"}],
            "where": "big or b",
            "group_by": ["k"],
            "aggregates": [
                {"fn": "count"},
                {"fn": "sum", "column": "net"},
                {"fn": "count", "column": "big", "as": "bigs"},
                {"fn": "first", "column": "net"},
            ],
        },
        """SELECT k, count(*), sum(net), count(big), arg_min_null(net, n)
           FROM (SELECT *, net > x AS big FROM (SELECT *, i * 2 - 1 AS net FROM t))
           WHERE big OR b GROUP BY k""",
    ),
    "conditions of aggregates": (
        {
            "where": "i != 0",
            "group_by": ["k"],
            "aggregates": [
                {"fn": "count"},
                {"fn": "count", "where": "x > 1", "as": "some"},
                {"fn": "count", "column": "i", "where": "b", "as": "true"},
                {"fn": "sum", "column": "i", "as": "all"},
                {"fn": "sum", "column": "i", "where": "x > 1", "as": "above"},
                {"fn": "max", "column": "d", "where": "b", "as": "last_day"},
                {"fn": "first", "column": "x", "where": "b", "as": "first_x"},
                {"fn": "last", "column": "x", "where": "b", "as": "last_x"},
                {"fn": "nunique", "column": "i", "where": "b", "as": "distinct"},
                {"fn": "median", "column": "i", "where": "x > 1", "as": "middle"},
            ],
        },
        """SELECT k, count(*), count(*) FILTER (x > 1), count(i) FILTER (b), sum(i), sum(i) FILTER (x > 1),
           max(d) FILTER (b), arg_min_null(x, n) FILTER (b), arg_max_null(x, n) FILTER (b),
           count(DISTINCT i) FILTER (b), median(i) FILTER (x > 1)
           FROM t WHERE i <> 0 GROUP BY k""",
    ),
    "keys that are derived and cut": (
        {
            "derive": [{"as": "low", "expr": "lower(k)"}],
            "group_by": ["low", {"time_bucket": "1mo", "column": "d", "as": "month"}],
            "aggregates": [{"fn": "min", "column": "d"}, {"fn": "count", "where": "low == 'c'"}],
        },
        """SELECT lower(k), date_trunc('month', d)::date, min(d), count(*) FILTER (lower(k) = 'c')
           FROM t GROUP BY ALL""",
    ),
    "computed columns and groups that stay": (
        {
            "group_by": ["k", "b"],
            "aggregates": [{"fn": "sum", "column": "i"}, {"fn": "count"}],
            "compute": [{"as": "ratio", "expr": "sum_i / count"}, {"as": "twice", "expr": "ratio * 2e0"}],
            "having": "twice > -1 and not (k == 'b')",
        },
        """SELECT k, b, sum(i), count(*), sum(i) / count(*), sum(i) / count(*) * 2 FROM t GROUP BY k, b
           HAVING sum(i) / count(*) * 2 > -1 AND NOT (k = 'b')""",
    ),
    "no keys": (
        {
            "where": "i > 2 and b",
            "group_by": [],
            "aggregates": [{"fn": "count"}, {"fn": "sum", "column": "x", "where": "k == 'a'"}],
        },
        "SELECT count(*), sum(x) FILTER (k = 'a') FROM t WHERE i > 2 AND b",
    ),
}


def written(rows):
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows([tuple(TYPES), *rows])
    return sink.getvalue().replace("True", "true").replace("False", "false").encode()


def plain(value):
    """A value as both sides can show it: a number as a double, null as the empty text."""
    if value in (None, ""):
        return ""
    if isinstance(value, bool) or value in ("t", "f", "true", "false"):
        return str(value).lower()[0]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def rows_of(table):
    return sorted((tuple(map(plain, row)) for row in table), key=repr)


@pytest.mark.parametrize("case", CASES)
def test_a_job_with_expressions_is_as_the_same_sql_however_it_is_cut(case):
    parts, sql = CASES[case]
    spec = {"source": {"uris": ["file:///data/t.csv"], "types": TYPES}, **parts}

    @settings(max_examples=6, phases=[Phase.reuse, Phase.generate])
    @given(st.lists(st.tuples(*VALUES), max_size=30), st.integers(0, 2**32))
    def holds(values, seed):
        rows = [(n, *row) for n, row in enumerate(values)]
        whole = Work(spec).result(written(rows))
        assert Work(spec, random.Random(seed)).result(written(rows)) == whole
        columns = zip(*rows, strict=True) if rows else [[]] * len(TYPES)
        t = pa.table(
            {name: pa.array(list(column), ARROW[name]) for name, column in zip(TYPES, columns, strict=True)}
        )
        with duckdb.connect() as connection:
            connection.register("t", t)
            want = rows_of(connection.sql(sql).fetchall())
        found = csv.reader(io.StringIO(whole[1].decode()))
        assert rows_of(row[1:] for row in found) == want

    holds()
