"""The ten questions of db-benchmark: Gristmill beside pandas, Dask, DuckDB and Polars, on the same file.

The answers are compared before the times count.

Peers run as fresh processes from file to Parquet. Gristmill runs from POST to readable rows in Postgres, on a
stack that is up. So do, for the question with as many groups as rows, the peers that users would chain with
Postgres.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.answers import check, check_joined, check_sums, of_table
from benchmarks.data import FOLDER
from benchmarks.engines import CHAINED, answers
from benchmarks.processes import cpu_seconds, peak_memory
from benchmarks.questions import EVERY, QUESTIONS
from benchmarks.stack import ended_job, warm_stack
from benchmarks.tables import FAST, line
from tests.support.stack import Stack

SETTINGS = {"GRISTMILL_SLOTS": "1", "GRISTMILL_SOURCES": f"file://{FOLDER}/"}
"""Two workers of one slot each, as two containers would be."""
ALL = ("pandas", "dask", *FAST)
PEER_SECONDS = 3600
OFTEN, SELDOM = 0.05, 2.0
"""Seconds between two samples of memory: in a run that is not timed, and in one that is."""


class Case(NamedTuple):
    """A question over a file, and the engines that answer it beside Gristmill.

    *most_runs* of it are enough. *huge*: an engine may fail for want of memory, and of Gristmill's answer the
    sums are compared.
    """

    question: str
    file: Path
    engines: tuple[str, ...] = FAST
    most_runs: int = 1000
    huge: bool = False


def usual(csv: Path, parquet: Path) -> list[Case]:
    """What `make bench` asks: all ten over CSV, some over Parquet; all engines where a bar names them."""
    engines = {"q1": ALL, "q3": ALL, "q10": (*FAST, *CHAINED)}
    return [
        *(
            Case(question, csv, engines.get(question, FAST), 1 if question == "q10" else 1000)
            for question in QUESTIONS
        ),
        *(Case(question, parquet) for question in ("q1", "q3", "q6")),
    ]


def rest(csv: Path, parquet: Path) -> list[Case]:
    """What is left of the ten over both files: the last one in full, and the others over Parquet."""
    asked = (question for question in QUESTIONS if question not in ("q1", "q3", "q6"))
    return [Case("q10", csv, (*FAST, *CHAINED)), *(Case(question, parquet) for question in asked)]


def nine(file: Path) -> list[Case]:
    """All but the last one."""
    return [Case(question, file) for question in QUESTIONS if question != "q10"]


def last(file: Path) -> list[Case]:
    """The question with as many groups as rows, once."""
    return [Case("q10", file, most_runs=1, huge=True)]


def other_forms(files: Sequence[Path]) -> list[Case]:
    return [Case(question, file) for file in files for question in ("q1", "q5")]


def other_questions(stations: Sequence[Path], lineitem: Path) -> list[Case]:
    return [*(Case("1brc", file) for file in stations), Case("tpch1", lineitem), Case("months", lineitem)]


def peer(engine: str, case: Case, out: str, pause: float) -> dict[str, Any]:
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.engines", engine, case.question]
    process = subprocess.Popen([*command, str(case.file), out])
    with peak_memory([process.pid], pause) as peak:
        try:
            code = process.wait(PEER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        wall = time.perf_counter() - start
    if code and case.huge:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return {"failed": f"failed after {wall:.0f} s: {how}", "peak_mb": peak.mb}
    if code:
        raise subprocess.CalledProcessError(code, command)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": wall, "cpu": cpu, "peak_mb": peak.mb}


def gristmill(stack: Stack, case: Case, pause: float = SELDOM) -> tuple[dict[str, Any], str]:
    """Figures of a job, and the name of its result."""
    pids = [process.popen.pid for process in stack.processes]
    before = cpu_seconds(pids)
    with peak_memory(pids, pause) as peak:
        start = time.perf_counter()
        job = ended_job(stack, EVERY[case.question].spec(case.file))
        wall = time.perf_counter() - start
    memory = {"peak_mb": peak.mb, "worker_mb": max(peak.each_mb[1:])}
    if job["state"] != "succeeded":
        assert case.huge, job["error"]
        return {"failed": f"refused after {wall:.0f} s: `{job['error']['code']}`", **memory}, ""
    phases = {k: v for k, v in job["timing"].items() if k.endswith("_ms")}
    figures = {"wall": wall, "cpu": cpu_seconds(pids) - before, **memory, "phases": phases}
    return figures, job["result"]["relation"]


def _runs(stack: Stack, case: Case, runs: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All engines in each run, so that a slow minute of the machine affects them all.

    Before them all have a run for their memory, unless one run is enough.
    """
    engines = [engine for engine in case.engines if answers(engine, case.question)]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("gristmill", *engines)}
    count = min(runs, case.most_runs)
    for run in range(count + (count > 1)):
        pause = SELDOM if run or count == 1 else OFTEN
        figures, relation = gristmill(stack, case, pause)
        found["gristmill"].append(figures)
        many = EVERY[case.question].many
        answer = None if run or many else of_table(stack.database_url, case.question, relation)
        if run == 0 and case.huge and relation:
            check_sums(stack.database_url, relation, case.file)
        for engine in engines:
            out = folder / f"{engine}.parquet"
            to = stack.database_url if engine in CHAINED else str(out)
            found[engine].append(peer(engine, case, to, pause))
            if answer is not None and engine not in CHAINED:
                check(case.question, answer, pd.read_parquet(out), engine)
            elif run == 0 and not case.huge and engine not in CHAINED:
                check_joined(stack.database_url, case.question, relation, out, engine)
            out.unlink(missing_ok=True)
    return {engine: timed(all_) for engine, all_ in found.items()}


def timed(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All but the first one, with its memory; a lone run is kept."""
    first, *others = runs
    memory = {name: first[name] for name in ("peak_mb", "worker_mb") if name in first}
    return [run | memory for run in others] or runs


def measure(cases: Sequence[Case], runs: int) -> list[dict[str, Any]]:
    """All runs of every case and engine: wall and CPU seconds, peak MB."""
    return list(_measured(cases, runs))


def _measured(cases: Sequence[Case], runs: int) -> Iterator[dict[str, Any]]:
    with warm_stack(workers=2, **SETTINGS) as stack, tempfile.TemporaryDirectory() as folder:
        for case in cases:
            found = _runs(stack, case, runs, Path(folder))
            kind = {"question": case.question, "format": _kind(case.file), "file": case.file.name}
            measured = {**kind, "bytes": case.file.stat().st_size, "engines": found}
            print(f"  {line(measured)}", file=sys.stderr, flush=True)
            yield measured


def _kind(file: Path) -> str:
    """The format, and which of several files of it."""
    form = ".".join(suffix[1:] for suffix in file.suffixes if suffix[1:].isalpha())
    name, _, last = file.stem.rpartition("_")
    if last == "quoted":
        return f"{form}, every field quoted"
    return f"{form}, {int(last):,} keys" if name.startswith("stations") else form
