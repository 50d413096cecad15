"""The bits of one sum and one variance of the same file, by each engine and beside the exact value.

The settings that differ between runs should not matter.

The file is the same, and the settings that vary must not matter.
`python -m benchmarks.bit_patterns` prints the table of docs/exactness.md. The file has 300,000 doubles of
sixteen decades (x) and as many around 1e9 with a spread of 1 (y), in one group.
"""

import struct
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.options import parser
from benchmarks.stack import warm_stack

ROWS = 300_000
Found = tuple[float, float]


def write(path: Path, rows: int) -> None:
    chance = np.random.default_rng(108)
    x = chance.normal(size=rows) * 10.0 ** chance.uniform(-8, 8, rows)
    y = 1e9 + chance.normal(size=rows)
    pd.DataFrame({"k": "a", "x": x, "y": y}).to_csv(path, index=False)


def exact(path: Path) -> Found:
    """The sum and the variance by rational arithmetic, rounded once."""
    frame = pd.read_csv(path)
    x, y = (list(map(Fraction, frame[name])) for name in ("x", "y"))
    mean = sum(y) / len(y)
    return float(sum(x)), float(sum((value - mean) ** 2 for value in y) / (len(y) - 1))


def by_pandas(path: Path) -> Iterator[Found]:
    """The whole file, and chunks whose sums are added; variances of chunks come from sums of squares."""
    whole = pd.read_csv(path)
    grouped = whole.groupby("k").agg({"x": "sum", "y": "var"})
    yield grouped["x"].iloc[0], grouped["y"].iloc[0]
    for size in (10_000, 70_000, 150_000):
        parts = [
            chunk.assign(yy=chunk["y"] ** 2).groupby("k").sum() for chunk in pd.read_csv(path, chunksize=size)
        ]
        total, n = pd.concat(parts).groupby(level=0).sum().iloc[0], len(whole)
        yield total["x"], (total["yy"] - total["y"] ** 2 / n) / (n - 1)


def by_duckdb(path: Path) -> Iterator[Found]:
    import duckdb

    for threads in (1, 2, 4, 4, 4):
        with duckdb.connect() as connection:
            connection.execute(f"SET threads = {threads}")
            connection.execute("SET preserve_insertion_order = false")
            table = f"read_csv('{path}', buffer_size = {1 << 21})"
            yield connection.execute(f"SELECT sum(x), var_samp(y) FROM {table} GROUP BY k").fetchone()


def by_polars(path: Path) -> Iterator[Found]:
    import polars as pl

    for engine, size in (
        ("in-memory", None),
        ("streaming", 1_000),
        ("streaming", 20_000),
        ("streaming", 100_000),
        ("streaming", 20_000),
    ):
        pl.Config.set_streaming_chunk_size(size)
        found = (
            pl.scan_csv(path).group_by("k").agg(pl.col("x").sum(), pl.col("y").var()).collect(engine=engine)
        )
        yield found["x"][0], found["y"][0]


def by_dask(path: Path) -> Iterator[Found]:
    import dask
    import dask.dataframe as dd

    for blocksize in ("500KB", "2MB", "5MB", "64MB"):
        with dask.config.set(scheduler="threads"):
            found = (
                dd.read_csv(path, blocksize=blocksize).groupby("k").agg({"x": "sum", "y": "var"}).compute()
            )
        yield found["x"].iloc[0], found["y"].iloc[0]


def by_gristmill(path: Path) -> Iterator[Found]:
    aggregates = [{"fn": "sum", "column": "x", "as": "x"}, {"fn": "var", "column": "y", "as": "y"}]
    with warm_stack(workers=2) as stack:
        uri = stack.write("data.csv", path.read_bytes())
        for chunk_bytes in (100_000, 500_000, 2_000_000, 64_000_000):
            spec = {
                "source": {"uris": [uri]},
                "group_by": ["k"],
                "aggregates": aggregates,
                "options": {"chunk_bytes": chunk_bytes},
            }
            ((x, y),) = stack.sql(f"SELECT x, y FROM {stack.run(spec)['result']['relation']}")
            yield x, y


ENGINES: dict[str, Callable[[Path], Iterator[Found]]] = {
    "pandas, whole and in chunks": by_pandas,
    "DuckDB, 1 to 4 threads": by_duckdb,
    "Polars, in memory and streaming": by_polars,
    "Dask, four block sizes": by_dask,
    "Gristmill, four chunk sizes, two workers": by_gristmill,
}


def _bits(number: float) -> int:
    return struct.unpack("<q", struct.pack("<d", number))[0]


def _told(found: list[float], true: float) -> str:
    """The number of different doubles, some of them, and the largest error in units in the last place.

    The shortest text of a double identifies it.
    """
    patterns = sorted(set(found))
    worst = max(abs(_bits(value) - _bits(true)) for value in found)
    shown = ", ".join(map(repr, patterns[:4])) + (", …" if len(patterns) > 4 else "")
    return f"{len(patterns)}: {shown} | {f'{worst:,}' if worst < 2**40 else 'no digit is right'}"


def main() -> None:
    asked = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        write(path, 1_000 if asked.tiny else ROWS)
        true = exact(path)
        print(
            "| engine | runs | different sums | off by at most, ulp "
            "| different variances | off by at most, ulp |"
        )
        print("|---|---|---|---|---|---|")
        print(f"| exact, rounded once | | {_told([true[0]], true[0])} | {_told([true[1]], true[1])} |")
        for name, engine in ENGINES.items():
            found = [(float(x), float(y)) for x, y in engine(path)]
            print(
                f"| {name} | {len(found)} | {_told([x for x, _ in found], true[0])} "
                f"| {_told([y for _, y in found], true[1])} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
