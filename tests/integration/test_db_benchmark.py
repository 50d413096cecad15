"""The ten group-by questions of db-benchmark, over a million rows, beside DuckDB."""

import duckdb
import pandas as pd
import psycopg
import pytest

from benchmarks.data import make

ROWS = 1_000_000

# the keys; aggregates as (column of the answer, entry of the spec, SQL)
QUESTIONS = {
    "q1": (["id1"], [("v1", {"fn": "sum", "column": "v1"}, "sum(v1)")]),
    "q2": (["id1", "id2"], [("v1", {"fn": "sum", "column": "v1"}, "sum(v1)")]),
    "q3": (
        ["id3"],
        [
            ("v1", {"fn": "sum", "column": "v1"}, "sum(v1)"),
            ("v3", {"fn": "mean", "column": "v3"}, "favg(v3)"),
        ],
    ),
    "q4": (["id4"], [(v, {"fn": "mean", "column": v}, f"favg({v})") for v in ("v1", "v2", "v3")]),
    "q5": (["id6"], [(v, {"fn": "sum", "column": v}, f"fsum({v})") for v in ("v1", "v2", "v3")]),
    "q6": (
        ["id4", "id5"],
        [
            ("median", {"fn": "median", "column": "v3"}, "median(v3)"),
            ("sd", {"fn": "std", "column": "v3"}, "stddev_samp(v3)"),
        ],
    ),
    "q7": (
        ["id3"],
        [("v1", {"fn": "max", "column": "v1"}, "max(v1)"), ("v2", {"fn": "min", "column": "v2"}, "min(v2)")],
    ),
    "q8": (["id6"], [("two", {"fn": "top", "column": "v3", "k": 2}, "max(v3, 2)")]),
    "q9": (["id2", "id4"], [("r", {"fn": "corr", "y": "v1", "x": "v2"}, "corr(v1, v2)")]),
    "q10": (
        ["id1", "id2", "id3", "id4", "id5", "id6"],
        [("v3", {"fn": "sum", "column": "v3"}, "fsum(v3)"), ("n", {"fn": "count"}, "count(*)")],
    ),
}
COMPUTED = {"q7": ("spread", "v1 - v2", "max(v1) - min(v2)"), "q9": ("r2", "r ** 2", "corr(v1, v2) ^ 2")}
"""What is computed of the aggregates: its column, expression and SQL."""


@pytest.fixture(scope="module")
def data(stack):
    csv, _ = make(ROWS, folder=stack.data / "db-benchmark")
    return csv


SLOW = {"q10": (pytest.mark.full, pytest.mark.timeout(1200))}
"""As many groups as rows."""


@pytest.mark.parametrize("question", [pytest.param(q, marks=SLOW.get(q, ())) for q in QUESTIONS])
def test_a_question_of_the_db_benchmark_has_duckdbs_answer(stack, data, question):
    keys, asked = QUESTIONS[question]
    computed = [COMPUTED[question]] if question in COMPUTED else []
    names = [name for name, _, _ in (*asked, *computed)]
    job = stack.run(
        {
            "source": {"uris": [f"file://{data}"]},
            "group_by": keys,
            "aggregates": [entry | {"as": name} for name, entry, _ in asked],
            "compute": [{"as": name, "expr": expression} for name, expression, _ in computed],
        }
    )
    assert job["state"] == "succeeded", job["error"]

    with psycopg.connect(stack.database_url) as connection:
        columns = ", ".join([*keys, *names])
        rows = connection.execute(f"SELECT {columns} FROM {job['result']['relation']}").fetchall()
    answer = pd.DataFrame(rows, columns=[*keys, *names]).sort_values(keys, ignore_index=True)
    measures = ", ".join(f"{sql} AS {name}" for name, _, sql in (*asked, *computed))
    expected = duckdb.sql(f"SELECT {', '.join(keys)}, {measures} FROM read_csv('{data}') GROUP BY ALL").df()
    expected = expected.sort_values(keys, ignore_index=True)
    if question == "q8":
        answer, expected = (
            frame.assign(two=frame["two"].map(lambda two: sorted(two, reverse=True))).explode("two")
            for frame in (answer, expected)
        )
        answer, expected = (
            frame.astype({"two": float}).reset_index(drop=True) for frame in (answer, expected)
        )
    pd.testing.assert_frame_equal(answer, expected, check_dtype=False, rtol=1e-12)
