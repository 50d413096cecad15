"""A million rows in each format over HTTP, beside psycopg's COPY and pyarrow by hand.

Both sides take turns. Memory is how much the resident set of the gateway grows; its encoding processes are
not part of it. Meanwhile /livez is asked every 50 ms.
"""

import asyncio
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import psutil
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from benchmarks.options import parser, whole
from benchmarks.stack import warm_stack
from tests.support.gateway import publish
from tests.support.stack import Stack

ROWS = 1_000_000
MEMORY_BAR_MB, TIME_BAR = 64, 2.0
FORMATS = ("parquet", "arrow", "csv", "ndjson")
COLUMNS = {
    "name": ("string", "'customer ' || g % 1000", pa.string()),
    "n": ("int64", "g * 7919", pa.int64()),
    "x": ("float64", "CASE WHEN g % 50 <> 0 THEN sin(g) END", pa.float64()),
    "money": ("decimal(18,2)", "(g % 100000)::numeric / 100", pa.decimal128(18, 2)),
    "ok": ("bool", "g % 3 = 0", pa.bool_()),
    "day": ("date", "date '2020-01-01' + (g % 2000)::int", pa.date32()),
    "at": ("timestamp", "timestamp '2026-01-01' + g * interval '1.5 s'", pa.timestamp("us")),
    "when": (
        "timestamptz",
        "timestamptz '2026-01-01 00:00Z' + g * interval '1 s'",
        pa.timestamp("us", "UTC"),
    ),
    "note": ("string", "md5(g::text)", pa.string()),
}


def table(stack: Stack, rows: int) -> str:
    """The job whose rows are so many, made in Postgres."""
    types = {name: of for name, (of, _, _) in COLUMNS.items()}
    job_id = asyncio.run(publish(SimpleNamespace(database_url=stack.database_url), types, []))
    made = ", ".join(value for _, value, _ in COLUMNS.values())
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO gristmill_results.{job_id} "
            f"SELECT g, {made} FROM generate_series(1, {rows}::bigint) g"
        )
        connection.execute(f"VACUUM ANALYZE gristmill_results.{job_id}")
    return job_id


def by_hand(stack: Stack, job_id: str, folder: Path) -> float:
    """Seconds from COPY to a Parquet file."""
    names = [*COLUMNS]
    shown, started = ", ".join(f'"{name}"' for name in names), time.perf_counter()
    sql = f"COPY (SELECT {shown} FROM gristmill_results.{job_id} ORDER BY _id) TO STDOUT (FORMAT csv)"
    with psycopg.connect(stack.database_url) as connection, connection.cursor().copy(sql) as copy:
        lines = b"".join(copy)
    read = pyarrow.csv.read_csv(
        pa.BufferReader(lines),
        read_options=pyarrow.csv.ReadOptions(column_names=names),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: of for name, (_, _, of) in COLUMNS.items()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    pyarrow.parquet.write_table(read, folder / "by-hand.parquet")
    return time.perf_counter() - started


async def _liveness(url: str, took: list[float]) -> None:
    async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
        while True:
            started = time.perf_counter()
            await http.get("/livez")
            took.append(time.perf_counter() - started)
            await asyncio.sleep(0.05)


async def _exported(url: str, path: str, gateway: psutil.Process, to: Path) -> dict[str, float]:
    """Seconds, bytes, the growth of the gateway, and the slowest answer of /livez."""
    took: list[float] = [0.0]
    before = peak = gateway.memory_info().rss
    watching = asyncio.create_task(_liveness(url, took))
    started, size = time.perf_counter(), 0
    async with (
        httpx2.AsyncClient(base_url=url, timeout=600) as http,
        http.stream("GET", path, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        answer.raise_for_status()
        with to.open("wb") as file:
            async for piece in answer.aiter_raw():
                file.write(piece)
                size += len(piece)
                peak = max(peak, gateway.memory_info().rss)
    seconds = time.perf_counter() - started
    watching.cancel()
    return {"s": seconds, "mb": size / 1e6, "growth_mb": (peak - before) / 1e6, "livez_ms": max(took) * 1000}


def measure(rows: int = ROWS, runs: int = 3) -> dict[str, Any]:
    with warm_stack(workers=0) as stack:
        job_id, url = table(stack, rows), str(stack.http.base_url)
        gateway = psutil.Process(stack.processes[0].popen.pid)
        hand: list[float] = []
        exports: dict[str, list[dict[str, float]]] = {form: [] for form in FORMATS}
        for _ in range(runs):
            hand.append(by_hand(stack, job_id, stack.data))
            for form, found in exports.items():
                path = f"/v1/jobs/{job_id}/rows?format={form}"
                found.append(asyncio.run(_exported(url, path, gateway, stack.data / f"rows.{form}")))
        assert pyarrow.parquet.read_metadata(stack.data / "rows.parquet").num_rows == rows
        return {"rows": rows, "by_hand_s": hand, "exports": exports}


def shown(figures: dict[str, Any]) -> list[str]:
    hand = statistics.median(figures["by_hand_s"])
    by_hand = f"to {hand:.2f} s by hand (bar {TIME_BAR:g} for Parquet)"
    grown = f"the gateway grows by, MB (bar {MEMORY_BAR_MB})"
    lines = [
        f"| {figures['rows']:,} rows as | MB | s | {by_hand} | {grown} | slowest /livez, ms |",
        "|---|---|---|---|---|---|",
    ]
    for form, runs in figures["exports"].items():
        seconds = statistics.median(run["s"] for run in runs)
        growth, livez = (max(run[name] for run in runs) for name in ("growth_mb", "livez_ms"))
        cells = (
            (runs[0]["mb"], ".0f"),
            (seconds, ".2f"),
            (seconds / hand, ".2f"),
            (growth, ".0f"),
            (livez, ".0f"),
        )
        lines.append(f"| {form} | {' | '.join(format(*cell) for cell in cells)} |")
    return lines


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=ROWS)
    options.add_argument("--runs", type=int, default=3)
    asked = options.parse_args()
    print("\n".join(shown(measure(1000, 1) if asked.tiny else measure(asked.rows, asked.runs))))


if __name__ == "__main__":
    main()
