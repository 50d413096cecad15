"""What expressions and time buckets cost: CPU seconds of a child, beside the same job without them.

Both sides read the same file in turns, in one process; their rows are compared with those of DuckDB.
"""

import csv
import io
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.data import FOLDER, SEED
from benchmarks.stages import job_by_stage
from benchmarks.turns import compare

_DAY = 86_400_000_000


class Side(NamedTuple):
    """A job, and the SQL that gives its rows; `{}` stands for the file."""

    job: dict[str, Any]
    sql: str


_SUMS = [{"fn": "sum", "column": "price"}, {"fn": "mean", "column": "qty"}]
_LAST = [{"fn": "sum", "column": "qty"}, {"fn": "max", "column": "ts"}]
PAIRS: dict[str, tuple[Side, Side, float]] = {
    "where and derive": (
        Side(
            {"group_by": ["shop"], "aggregates": _SUMS},
            "SELECT shop, sum(price), avg(qty) FROM '{}' GROUP BY shop",
        ),
        Side(
            {
                "derive": [{"as": "net", "expr": "price * 2 - qty"}],
                "where": "price > 50",
                "group_by": ["shop"],
                "aggregates": [{"fn": "sum", "column": "net"}, {"fn": "mean", "column": "qty"}],
            },
            "SELECT shop, sum(price * 2 - qty), avg(qty) FROM '{}' WHERE price > 50 GROUP BY shop",
        ),
        1.3,
    ),
    "bucket by month": (
        Side(
            {"group_by": ["month"], "aggregates": _LAST},
            "SELECT month, sum(qty), max(ts) FROM '{}' GROUP BY month",
        ),
        Side(
            {
                "group_by": [{"time_bucket": "1mo", "column": "ts", "as": "month"}],
                "aggregates": _LAST,
            },
            "SELECT month, sum(qty), max(ts) FROM '{}' GROUP BY month",
        ),
        1.15,
    ),
    "bucket by month in a zone": (
        Side(
            {"group_by": ["month"], "aggregates": _LAST},
            "SELECT month, sum(qty), max(ts) FROM '{}' GROUP BY month",
        ),
        Side(
            {
                "source": {"timezone": "America/New_York"},
                "group_by": [{"time_bucket": "1mo", "column": "zoned", "as": "month"}],
                "aggregates": [{"fn": "sum", "column": "qty"}, {"fn": "max", "column": "zoned"}],
            },
            "",
        ),
        1.15,
    ),
}


def make(rows: int, folder: Path = FOLDER) -> tuple[Path, Path]:
    """Sales of five years as CSV and as Parquet, in no order; `month` is the first day of that of `ts`."""
    paths = folder / f"sales_{rows}.csv", folder / f"sales_{rows}.parquet"
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        chance = np.random.default_rng(SEED)
        moments = (chance.integers(18_262 * _DAY, 20_088 * _DAY, rows) // 1000 * 1000).view("M8[us]")
        shops = pa.array(chance.integers(1, 100, rows, endpoint=True)).cast(pa.string())
        table = pa.table(
            {
                "shop": pa.compute.binary_join_element_wise("shop", shops, ""),
                "qty": chance.integers(1, 15, rows, endpoint=True),
                "price": np.round(chance.uniform(0, 100, rows), 2),
                "ts": pa.array(moments),
                "zoned": pa.array(moments).cast(pa.timestamp("us", "UTC")),
                "month": pa.array(moments.astype("M8[M]").astype("M8[D]")),
            }
        )
        pacsv.write_csv(table, paths[0])
        pq.write_table(table, paths[1])
    return paths


def spec(side: Side, file: Path) -> dict[str, Any]:
    source = {"uris": [f"file://{file}"], **side.job.get("source", {})}
    return {**side.job, "source": source}


def checked(side: Side, file: Path, rows: bytes) -> None:
    if not side.sql:
        return
    want = sorted(map(_plain, duckdb.sql(side.sql.format(file)).fetchall()))
    found = sorted(_plain(row[1:]) for row in csv.reader(io.StringIO(rows.decode())))
    assert want == found, (want[:3], found[:3])


def _plain(row: Any) -> tuple[str, ...]:
    """Doubles to 12 digits: DuckDB adds them in any order."""

    def text(value: Any) -> str:
        try:
            return f"{float(value):.10g}"
        except (TypeError, ValueError):
            return str(value)

    return tuple(map(text, row))


def measure(rows: int, runs: int) -> list[dict[str, Any]]:
    found = []
    for file in make(rows):
        for name, (plain, other, bar) in PAIRS.items():
            seconds: tuple[list[float], list[float]] = ([], [])
            for _ in range(runs):
                for side, times in zip((plain, other), seconds, strict=True):
                    stages, answer = job_by_stage(spec(side, file), file)
                    checked(side, file, answer)
                    times.append(sum(sum(phase.values()) for phase in stages.values()))
            ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
            medians = [round(statistics.median(times), 3) for times in seconds]
            figures = {"pair": name, "format": file.suffix[1:], "seconds": medians}
            found.append({**figures, "ratio": round(ratio, 2), "bar": bar})
    return found


def shown(found: list[dict[str, Any]]) -> list[str]:
    lines = ["| job | format | CPU s without | CPU s with | ratio | bar |", "|---|---|---|---|---|---|"]
    for each in found:
        plain, other = each["seconds"]
        lines.append(
            f"| {each['pair']} | {each['format']} | {plain:.2f} | {other:.2f} | {each['ratio']:.2f} "
            f"| {each['bar']} |"
        )
    return lines


def main() -> None:
    compare(__doc__, "benchmarks.expressions", measure, shown)


if __name__ == "__main__":
    main()
