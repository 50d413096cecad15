"""Gristmill beside pandas, a thread pool, Dask, DuckDB and Polars: the same question, file and machine.

The answers are compared before the times count.

Peers run as fresh processes from file to Parquet. Gristmill runs from POST to readable rows in Postgres, on a
stack that is up.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg

from benchmarks.data import FOLDER
from benchmarks.engines import ENGINES, QUESTIONS
from benchmarks.processes import cpu_seconds, peak_memory
from benchmarks.stack import run_job, warm_stack
from tests.support.stack import Stack

SETTINGS = {"GRISTMILL_SLOTS": "1", "GRISTMILL_SOURCES": f"file://{FOLDER}/"}
"""Two workers of one slot each, as two containers would be."""
CASES = [("q1", "csv"), ("q3", "csv"), ("q1", "parquet")]


def peer(engine: str, question: str, file: Path, out: Path) -> dict[str, float]:
    before, start = os.times(), time.perf_counter()
    with peak_memory([os.getpid()]) as peak:
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.engines", engine, question, file, out],
            check=True,
        )
        wall = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "peak_mb": peak.mb}


def question_spec(question: str, file: Path) -> dict[str, Any]:
    keys, measures = QUESTIONS[question]
    aggregates = [{"fn": how, "column": name, "as": name} for name, how in measures.items()]
    return {
        "source": {"uris": [f"file://{file}"], "format": file.suffix[1:]},
        "group_by": keys,
        "aggregates": aggregates,
    }


def gristmill(stack: Stack, question: str, file: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    keys, measures = QUESTIONS[question]
    pids = [process.popen.pid for process in stack.processes]
    before = cpu_seconds(pids)
    with peak_memory(pids) as peak:
        start = time.perf_counter()
        job = run_job(stack, question_spec(question, file))
        wall = time.perf_counter() - start
    phases = {k: v for k, v in job["timing"].items() if k.endswith("_ms")}
    figures = {"wall": wall, "cpu": cpu_seconds(pids) - before, "peak_mb": peak.mb, "phases": phases}
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(f"SELECT * FROM {job['result']['relation']}").fetchall()
    return figures, pd.DataFrame(rows, columns=["_id", *keys, *measures]).drop(columns="_id")


def check(question: str, answer: pd.DataFrame, expected: pd.DataFrame, engine: str) -> None:
    keys, measures = QUESTIONS[question]
    answer, expected = (
        frame.sort_values(keys).reset_index(drop=True)[[*keys, *measures]] for frame in (answer, expected)
    )
    pd.testing.assert_frame_equal(answer, expected, check_dtype=False, rtol=1e-9, obj=engine)


def _runs(
    stack: Stack, question: str, file: Path, runs: int, folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """All engines in each run, so that a slow minute of the machine affects them all."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in [*ENGINES, "gristmill"]}
    expected = None
    for _ in range(runs):
        for engine in ENGINES:
            out = folder / f"{engine}.parquet"
            found[engine].append(peer(engine, question, file, out))
            answer = pd.read_parquet(out)
            expected = answer if expected is None else expected
            check(question, answer, expected, engine)
        figures, answer = gristmill(stack, question, file)
        check(question, answer, expected, "gristmill")
        found["gristmill"].append(figures)
    return found


def measure(csv: Path, parquet: Path, rows: int, runs: int) -> dict[str, Any]:
    """All runs of every case and engine: wall and CPU seconds, peak MB."""
    cases = {}
    with warm_stack(workers=2, **SETTINGS) as stack, tempfile.TemporaryDirectory() as folder:
        for question, kind in CASES:
            file = csv if kind == "csv" else parquet
            found = _runs(stack, question, file, runs, Path(folder))
            cases[f"{question} over {kind.upper()}, {rows:,} rows, {file.stat().st_size / 1e6:,.0f} MB"] = (
                found
            )
    return cases


def shown(cases: dict[str, Any]) -> list[str]:
    return [line for title, found in cases.items() for line in _table(title, found)]


def _table(title: str, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        f"### {title}",
        "",
        "| engine | median s | min to max | CPU s | peak MB | Gristmill takes |",
        "|---|---|---|---|---|---|",
    ]
    ours = statistics.median(run["wall"] for run in found["gristmill"])
    for engine, runs in found.items():
        walls = [run["wall"] for run in runs]
        cpu, peak = (statistics.median(run[key] for run in runs) for key in ("cpu", "peak_mb"))
        median = statistics.median(walls)
        lines.append(
            f"| {engine} | {median:.2f} | {min(walls):.2f} to {max(walls):.2f} "
            f"| {cpu:.1f} | {peak:.0f} | {ours / median:.2f}x |"
        )
    return [*lines, ""]
