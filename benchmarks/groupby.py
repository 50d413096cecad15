"""The ten questions of db-benchmark: Gristmill beside pandas, Dask, DuckDB and Polars, on the same file.

The answers are compared before the times count.

Peers run as fresh processes from file to Parquet. Gristmill runs from POST to readable rows in Postgres, on a
stack that is up. So do, for the question with as many groups as rows, the peers that users would chain with
Postgres.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import psycopg

from benchmarks.data import FOLDER
from benchmarks.engines import CHAINED, answers
from benchmarks.processes import cpu_seconds, peak_memory
from benchmarks.questions import EVERY, QUESTIONS
from benchmarks.stack import run_job, warm_stack
from tests.support.stack import Stack

SETTINGS = {"GRISTMILL_SLOTS": "1", "GRISTMILL_SOURCES": f"file://{FOLDER}/"}
"""Two workers of one slot each, as two containers would be."""
FAST, ALL = ("duckdb", "polars"), ("pandas", "dask", "duckdb", "polars")


class Case(NamedTuple):
    """A question over a file, and the engines that answer it beside Gristmill."""

    question: str
    file: Path
    engines: tuple[str, ...] = FAST


def usual(csv: Path, parquet: Path) -> list[Case]:
    """What `make bench` asks: all ten over CSV, some over Parquet; all engines where a bar names them."""
    chained = {"q10": (*FAST, *CHAINED), "q1": ALL, "q3": ALL}
    return [
        *(Case(question, csv, chained.get(question, FAST)) for question in QUESTIONS),
        *(Case(question, parquet) for question in ("q1", "q3", "q6")),
    ]


def large(csv: Path, parquet: Path) -> list[Case]:
    """The ten questions over ten times as many rows; the last has as many groups, for which all need long."""
    return [Case(question, file) for file in (csv, parquet) for question in QUESTIONS if question != "q10"]


def others(formats: dict[str, Path], stations: Sequence[Path], lineitem: Path) -> list[Case]:
    """Other forms of the data, and other questions."""
    return [
        *(Case(question, file) for file in formats.values() for question in ("q1", "q5")),
        *(Case("1brc", file) for file in stations),
        Case("tpch1", lineitem),
    ]


def peer(engine: str, question: str, file: Path, out: str) -> dict[str, float]:
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.engines", engine, question, str(file), out]
    process = subprocess.Popen(command)
    with peak_memory([process.pid]) as peak:
        code = process.wait()
        wall = time.perf_counter() - start
    if code:
        raise subprocess.CalledProcessError(code, command)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "peak_mb": peak.mb}


def gristmill(stack: Stack, question: str, file: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    asked = EVERY[question]
    pids = [process.popen.pid for process in stack.processes]
    before = cpu_seconds(pids)
    with peak_memory(pids) as peak:
        start = time.perf_counter()
        job = run_job(stack, asked.spec(file))
        wall = time.perf_counter() - start
    phases = {k: v for k, v in job["timing"].items() if k.endswith("_ms")}
    figures = {"wall": wall, "cpu": cpu_seconds(pids) - before, "peak_mb": peak.mb, "phases": phases}
    columns = [*asked.keys, *asked.answer]
    with psycopg.connect(stack.database_url) as connection:
        statement = f"SELECT {', '.join(columns)} FROM {job['result']['relation']}"
        rows = connection.execute(statement).fetchall()
    return figures, pd.DataFrame(rows, columns=columns)


def check(
    question: str, answer: pd.DataFrame, expected: pd.DataFrame, engine: str, *, rtol: float = 1e-9
) -> None:
    """Raises AssertionError where an answer differs by more than *rtol*, relatively."""
    asked = EVERY[question]

    def ordered(frame: pd.DataFrame) -> pd.DataFrame:
        if asked.lists:
            pairs = frame[asked.lists].map(lambda values: sorted(values, reverse=True))
            frame = frame.assign(**{asked.lists: pairs}).explode(asked.lists)
            frame = frame.astype({asked.lists: float})
        return frame.sort_values([*asked.keys, *asked.answer], ignore_index=True)[
            [*asked.keys, *asked.answer]
        ]

    pd.testing.assert_frame_equal(
        ordered(answer), ordered(expected), check_dtype=False, rtol=rtol, obj=f"{question} of {engine}"
    )


def _runs(stack: Stack, case: Case, runs: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All engines in each run, so that a slow minute of the machine affects them all."""
    engines = [engine for engine in case.engines if answers(engine, case.question)]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("gristmill", *engines)}
    for run in range(runs):
        figures, answer = gristmill(stack, case.question, case.file)
        found["gristmill"].append(figures)
        for engine in engines:
            out = folder / f"{engine}.parquet"
            to = stack.database_url if engine in CHAINED else str(out)
            found[engine].append(peer(engine, case.question, case.file, to))
            if run == 0 and engine not in CHAINED:
                check(case.question, answer, pd.read_parquet(out), engine)
    return found


def measure(cases: Sequence[Case], runs: int) -> list[dict[str, Any]]:
    """All runs of every case and engine: wall and CPU seconds, peak MB."""
    measured = []
    with warm_stack(workers=2, **SETTINGS) as stack, tempfile.TemporaryDirectory() as folder:
        for case in cases:
            found = _runs(stack, case, runs, Path(folder))
            measured.append({"question": case.question, "format": _kind(case.file), "engines": found})
            print(f"  {_line(measured[-1])}", file=sys.stderr, flush=True)
    return measured


def _kind(file: Path) -> str:
    return "".join(file.suffixes)[1:]


def _median(runs: list[dict[str, Any]], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


HEAD = [
    "| question | over | Gristmill s | DuckDB s | Polars s | to the faster | CPU s of all three | peak MB |",
    "|---|---|---|---|---|---|---|---|",
]


def _line(case: dict[str, Any]) -> str:
    engines = case["engines"]
    three = [engines[name] for name in ("gristmill", *FAST)]
    ours, *theirs = (_median(runs, "wall") for runs in three)
    walls = " | ".join(
        f"{_median(runs, 'wall'):.2f} ({min(run['wall'] for run in runs):.2f} to "
        f"{max(run['wall'] for run in runs):.2f})"
        for runs in three
    )
    cpu = ", ".join(f"{_median(runs, 'cpu'):.1f}" for runs in three)
    peak = ", ".join(f"{_median(runs, 'peak_mb'):.0f}" for runs in three)
    return f"| {case['question']} | {case['format']} | {walls} | {ours / min(theirs):.2f}x | {cpu} | {peak} |"


def shown(cases: list[dict[str, Any]]) -> list[str]:
    others = [
        f"| {case['question']} | {case['format']} | {name} | {_median(runs, 'wall'):.2f} "
        f"| {_median(case['engines']['gristmill'], 'wall') / _median(runs, 'wall'):.2f}x |"
        for case in cases
        for name, runs in case["engines"].items()
        if name not in ("gristmill", *FAST)
    ]
    return [
        *HEAD,
        *map(_line, cases),
        "",
        "| question | over | other engine | s | Gristmill takes |",
        "|---|---|---|---|---|",
        *others,
        "",
    ]
