"""One engine answers one question, from file to Parquet, and ends.

`python -m benchmarks.engines ENGINE QUESTION FILE OUT` runs it.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RUN_BY = ("__main__",)
QUESTIONS = {
    "q1": (["id1"], {"v1": "sum"}),
    "q3": (["id3"], {"v1": "sum", "v3": "mean"}),
}
THREADS = 2


def run_pandas(keys, measures, file, out):
    """The plain script that most people write."""
    import pandas as pd

    frame = (
        pd.read_parquet(file, columns=[*keys, *measures]) if file.suffix == ".parquet" else pd.read_csv(file)
    )
    frame.groupby(keys).agg(measures).reset_index().to_parquet(out)


def run_threads(keys, measures, file, out):
    """pandas over chunks in a ThreadPoolExecutor; means by sums and counts."""
    import pandas as pd

    def partial(chunk):
        grouped = chunk.groupby(keys)
        return pd.DataFrame({name: grouped[name].sum() for name in measures} | {"rows": grouped.size()})

    chunks = (
        pd.read_csv(file, chunksize=1_000_000)
        if file.suffix == ".csv"
        else [pd.read_parquet(file, columns=[*keys, *measures])]
    )
    with ThreadPoolExecutor(THREADS) as pool:
        total = pd.concat(pool.map(partial, chunks)).groupby(level=list(range(len(keys)))).sum()
    for name, how in measures.items():
        if how == "mean":
            total[name] /= total["rows"]
    total.drop(columns="rows").reset_index().to_parquet(out)


def run_dask(keys, measures, file, out):
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=THREADS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        frame = (
            dd.read_parquet(file, columns=[*keys, *measures])
            if file.suffix == ".parquet"
            else dd.read_csv(file)
        )
        frame.groupby(keys).agg(measures).compute().reset_index().to_parquet(out)


def run_duckdb(keys, measures, file, out):
    import duckdb

    functions = {"sum": "sum", "mean": "avg"}
    columns = ", ".join([*keys, *(f"{functions[how]}({name}) AS {name}" for name, how in measures.items())])
    duckdb.sql(f"SET threads = {THREADS}")
    duckdb.sql(
        f"COPY (SELECT {columns} FROM '{file}' GROUP BY {', '.join(keys)}) TO '{out}' (FORMAT parquet)"
    )


def run_polars(keys, measures, file, out):
    import polars as pl

    scan = pl.scan_parquet(file) if file.suffix == ".parquet" else pl.scan_csv(file)
    wanted = [getattr(pl.col(name), how)() for name, how in measures.items()]
    scan.group_by(keys).agg(wanted).collect(engine="streaming").write_parquet(out)


ENGINES = {
    "pandas": run_pandas,
    "threads": run_threads,
    "dask": run_dask,
    "duckdb": run_duckdb,
    "polars": run_polars,
}


def main() -> None:
    engine, question, file, out = sys.argv[1:]
    ENGINES[engine](*QUESTIONS[question], Path(file), Path(out))


if __name__ == "__main__":
    main()
