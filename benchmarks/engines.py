"""`python -m benchmarks.engines ENGINE QUESTION FILE OUT`: one engine answers one question into Parquet.

Those named `..., then Postgres` write CSV, which is then copied into an indexed table; OUT is its database.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.questions import EVERY, Question

RUN_BY = ("__main__",)
THREADS = 2
TABLE = "peers_answer"


def run_pandas(question: Question, file: Path, out: Path) -> None:
    """The plain script that most people write."""
    import pandas as pd

    frame = pd.read_parquet(file, columns=question.used) if file.suffix == ".parquet" else pd.read_csv(file)
    question.frame(frame.groupby(question.keys)).reset_index().to_parquet(out)


def run_dask(question: Question, file: Path, out: Path) -> None:
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=THREADS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        frame = (
            dd.read_parquet(file, columns=question.used) if file.suffix == ".parquet" else dd.read_csv(file)
        )
        question.frame(frame.groupby(question.keys)).compute().reset_index().to_parquet(out)


def run_duckdb(question: Question, file: Path, out: Path) -> None:
    import duckdb

    form = "format parquet" if out.suffix == ".parquet" else "format csv"
    duckdb.sql(f"SET threads = {THREADS}")
    # Without it DuckDB keeps the rows in order, which no group-by needs.
    duckdb.sql("SET preserve_insertion_order = false")
    duckdb.sql(f"SET temp_directory = '{out.parent}'")
    table = f"'{file}'"
    duckdb.sql(f"COPY ({question.query(table)}) TO '{out}' ({form})")


def run_polars(question: Question, file: Path, out: Path) -> None:
    """The streaming engine writes the answer itself."""
    import polars as pl

    scans = {".parquet": pl.scan_parquet, ".ndjson": pl.scan_ndjson}
    if (scan := scans.get(file.suffix)) is not None:
        rows: Any = scan(file)
    else:
        delimiter = question.source.get("csv", {}).get("delimiter", ",")
        rows = pl.scan_csv(file, separator=delimiter, try_parse_dates=True)
    wanted = [made.alias(name) for name, made in question.polars(pl).items()]
    answer = question.prepare(rows, pl).group_by(question.keys).agg(wanted)
    if out.suffix == ".parquet":
        answer.sink_parquet(out, engine="streaming")
    else:
        answer.sink_csv(out, engine="streaming")


def into_postgres(engine: str, question: Question, file: Path, database: str) -> None:
    """What users would chain: the engine, COPY, and the indexes that a result of Gristmill has."""
    import psycopg

    types = {"id1": "text", "id2": "text", "id3": "text", "v3": "double precision"}
    columns = [*question.keys, *question.answer]
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(database) as connection:
        out = Path(folder) / "answer.csv"
        ENGINES[engine](question, file, out)
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        typed = ", ".join(f"{name} {types.get(name, 'bigint')}" for name in columns)
        connection.execute(f"CREATE TABLE {TABLE} ({typed}, _id bigserial)")
        statement = f"COPY {TABLE} ({', '.join(columns)}) FROM STDIN (FORMAT csv, HEADER)"
        with connection.cursor().copy(statement) as copy, out.open("rb") as rows:
            while data := rows.read(1 << 20):
                copy.write(data)
        connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (_id)")
        connection.execute(f"CREATE INDEX ON {TABLE} ({', '.join(question.keys)})")


ENGINES = {"pandas": run_pandas, "dask": run_dask, "duckdb": run_duckdb, "polars": run_polars}
CHAINED = ("duckdb, then Postgres", "polars, then Postgres")


def answers(engine: str, question: str) -> bool:
    """Whether an engine is asked a question."""
    return engine not in {"pandas", "dask"} or EVERY[question].frame is not None


def main() -> None:
    engine, question, file, out = sys.argv[1:]
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    Path("/proc/self/oom_score_adj").write_text("1000")  # where memory ends, this process does, and no other
    if engine in CHAINED:
        into_postgres(engine.split(",")[0], EVERY[question], Path(file), out)
    else:
        ENGINES[engine](EVERY[question], Path(file), Path(out))


if __name__ == "__main__":
    main()
