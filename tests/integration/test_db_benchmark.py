"""The ten group-by questions of db-benchmark, over a million rows, beside DuckDB."""

import duckdb
import pandas as pd
import psycopg
import pytest

from benchmarks.answers import check
from benchmarks.data import make
from benchmarks.questions import QUESTIONS

ROWS = 1_000_000


@pytest.fixture(scope="module")
def data(stack):
    csv, _ = make(ROWS, folder=stack.data / "db-benchmark")
    return csv


SLOW = {"q10": (pytest.mark.full, pytest.mark.timeout(1200))}
"""As many groups as rows."""


@pytest.mark.parametrize("question", [pytest.param(q, marks=SLOW.get(q, ())) for q in QUESTIONS])
def test_a_question_of_the_db_benchmark_has_duckdbs_answer(stack, data, question):
    asked = QUESTIONS[question]
    job = stack.run(asked.spec(data))
    assert job["state"] == "succeeded", job["error"]

    with psycopg.connect(stack.database_url) as connection:
        columns = ", ".join([*asked.keys, *asked.answer])
        rows = connection.execute(f"SELECT {columns} FROM {job['result']['relation']}").fetchall()
    answer = pd.DataFrame(rows, columns=[*asked.keys, *asked.answer])
    summed = asked.query(f"read_csv('{data}')").replace("avg(", "favg(").replace("sum(v3)", "fsum(v3)")
    check(question, answer, duckdb.sql(summed).df(), "DuckDB", rtol=1e-12)
