"""The answers that are compared: of Gristmill from its result table, of a peer from its Parquet file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psycopg
import pyarrow.csv as pacsv

from benchmarks.questions import EVERY

RTOL = 1e-9
"""Doubles may differ so much, relatively: the peers add them in any order."""
SUMS = "SELECT id1, count(*) AS groups, sum(n) AS n, sum(v3) AS v3 FROM {} GROUP BY id1 ORDER BY id1"
"""Of q10, whose answer may be too large to be compared row by row."""


@contextmanager
def exported(database: str, statement: str) -> Iterator[str]:
    """The path of a CSV file with the rows of a statement."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        with (
            psycopg.connect(database) as connection,
            connection.cursor().copy(f"COPY ({statement}) TO STDOUT (FORMAT csv, HEADER)") as copy,
        ):
            for data in copy:
                file.write(data)
        file.flush()
        yield file.name


def of_table(database: str, question: str, relation: str) -> pd.DataFrame:
    with exported(database, _rows(question, relation)) as file:
        return pacsv.read_csv(file).to_pandas()


def _rows(question: str, relation: str) -> str:
    asked = EVERY[question]
    return f"SELECT {', '.join([*asked.keys, *asked.answer])} FROM {relation}"


def check(
    question: str, answer: pd.DataFrame, expected: pd.DataFrame, engine: str, *, rtol: float = RTOL
) -> None:
    """Raises AssertionError where an answer differs by more than *rtol*, relatively."""
    asked = EVERY[question]

    def ordered(frame: pd.DataFrame) -> pd.DataFrame:
        if asked.lists:
            pairs = frame[asked.lists].map(lambda values: sorted(_numbers(values), reverse=True))
            frame = frame.assign(**{asked.lists: pairs}).explode(asked.lists)
            frame = frame.astype({asked.lists: float})
        if asked.times:
            frame = frame.assign(**{asked.times: pd.to_datetime(frame[asked.times]).astype("M8[us]")})
        columns = [*asked.keys, *asked.answer]
        return frame.sort_values(columns, ignore_index=True)[columns]

    pd.testing.assert_frame_equal(
        ordered(answer), ordered(expected), check_dtype=False, rtol=rtol, obj=f"{question} of {engine}"
    )


def _numbers(values: Any) -> list[float]:
    """Of a list, or of Postgres' text of an array."""
    return [*map(float, values.strip("{}").split(","))] if isinstance(values, str) else [*values]


def check_joined(database: str, question: str, relation: str, out: Path, engine: str) -> None:
    """As `check`, for an answer of millions of rows: they are joined by their keys, in DuckDB."""
    asked = EVERY[question]
    near = " AND ".join(f"abs(a.{name} - b.{name}) <= {RTOL} * abs(b.{name})" for name in asked.answer)
    with exported(database, _rows(question, relation)) as file:
        pair = f"'{file}' a FULL JOIN '{out}' b USING ({', '.join(asked.keys)})"
        query = f"SELECT count(*), count(*) FILTER (WHERE ({near}) IS NOT TRUE) FROM {pair}"
        [(rows, wrong)] = duckdb.sql(query).fetchall()
    assert rows, f"{question} of {engine} has no rows"
    assert not wrong, f"{question} of {engine}: {wrong:,} of {rows:,} rows differ"


def check_sums(database: str, relation: str, file: Path) -> None:
    """Compare the rows and sums by id1 with those of *file*, for an answer too large for a join."""
    with exported(database, SUMS.format(relation)) as path:
        found = pd.read_csv(path)
    source = f"(SELECT id1, 1 AS n, v3 FROM '{file}')"
    expected = duckdb.sql(SUMS.format(source)).df()
    columns = ["id1", "n", "v3"]
    pd.testing.assert_frame_equal(found[columns], expected[columns], check_dtype=False, rtol=RTOL)
    assert (found["groups"] <= found["n"]).all(), "more groups than rows"
