"""Gristmill beside pandas, a thread pool, Dask, DuckDB and Polars: the same question, file and machine; answers compared first.

Peers run as fresh processes from file to Parquet. Gristmill runs from POST to readable rows in Postgres, on a stack that is up.
`python -m benchmarks.groupby [ROWS] [RUNS]` prints the table and writes benchmarks/out/groupby.json.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import psutil
import psycopg

from benchmarks.data import make
from benchmarks.engines import ENGINES, QUESTIONS
from benchmarks.stack import warm_stack
from tests.support.stack import Stack

OUT = Path(__file__).with_name("out")
DATA = Path(tempfile.gettempdir()) / "gristmill-bench"
CASES = [("q1", "csv"), ("q3", "csv"), ("q1", "parquet")]


def watched(pids: list[int], act) -> dict[str, float]:
    """Run *act*; its wall and CPU seconds and the peak memory (PSS, MB) of the processes *pids* and below, sampled every 50 ms."""
    done, peak = threading.Event(), [0.0]

    def tree() -> list[psutil.Process]:
        roots = [psutil.Process(pid) for pid in pids]
        return [p for root in roots for p in [root, *root.children(recursive=True)]]

    def sample() -> None:
        while not done.wait(0.05):
            total = 0.0
            for process in tree():
                try:
                    total += process.memory_full_info().pss / 1e6
                except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                    continue
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=sample)
    watcher.start()
    start = time.perf_counter()
    try:
        act()
        return {"wall": time.perf_counter() - start, "peak_mb": peak[0]}
    finally:
        done.set()
        watcher.join()


def peer(engine: str, question: str, file: Path, out: Path) -> dict[str, float]:
    before = os.times()
    figures = watched(
        [os.getpid()],
        lambda: subprocess.run([sys.executable, "-W", "ignore", "-m", "benchmarks.engines", engine, question, file, out], check=True),
    )
    after = os.times()
    return figures | {"cpu": after.children_user + after.children_system - before.children_user - before.children_system}


def cpu_of(pids: list[int]) -> float:
    processes = [p for pid in pids for p in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]]
    return sum(sum(p.cpu_times()[:2]) for p in processes)


def gristmill(stack: Stack, question: str, file: Path) -> tuple[dict[str, float], pd.DataFrame]:
    keys, measures = QUESTIONS[question]
    aggregates = [{"fn": how, "column": name, "as": name} for name, how in measures.items()]
    spec = {"source": {"uris": [f"file://{file}"], "format": file.suffix[1:]}, "group_by": keys, "aggregates": aggregates}
    pids = [process.popen.pid for process in stack.processes]
    job = {}

    def act() -> None:
        job.update(stack.submit(spec, Prefer="wait=60"))
        while not job["done"]:
            job.update(stack.http.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=60"}, timeout=90).json())

    before = cpu_of(pids)
    figures = watched(pids, act) | {"cpu": cpu_of(pids) - before}
    assert job["state"] == "succeeded", job["error"]
    figures["timing"] = {k: v for k, v in job["timing"].items() if k.endswith("_ms")}
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(f"SELECT * FROM {job['result']['relation']}").fetchall()
    return figures, pd.DataFrame(rows, columns=["_id", *keys, *measures]).drop(columns="_id")


def check(question: str, answer: pd.DataFrame, expected: pd.DataFrame, who: str) -> None:
    keys, measures = QUESTIONS[question]
    answer, expected = (frame.sort_values(keys).reset_index(drop=True)[[*keys, *measures]] for frame in (answer, expected))
    pd.testing.assert_frame_equal(answer, expected, check_dtype=False, rtol=1e-9, obj=who)


def measure(stack: Stack, question: str, file: Path, runs: int, folder: Path) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {name: [] for name in [*ENGINES, "gristmill"]}
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


def table(title: str, found: dict[str, list[dict]]) -> list[str]:
    lines = [f"### {title}", "", "| engine | median s | min to max | CPU s | peak MB | Gristmill takes |", "|---|---|---|---|---|---|"]
    ours = statistics.median(run["wall"] for run in found["gristmill"])
    for engine, runs in found.items():
        walls = [run["wall"] for run in runs]
        cpu, peak = (statistics.median(run[key] for run in runs) for key in ("cpu", "peak_mb"))
        median = statistics.median(walls)
        lines.append(f"| {engine} | {median:.2f} | {min(walls):.2f} to {max(walls):.2f} | {cpu:.1f} | {peak:.0f} | {ours / median:.2f}x |")
    return [*lines, ""]


def main() -> None:
    rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    csv, parquet = make(DATA, rows)
    results, lines = {}, []
    with warm_stack(workers=2, GRISTMILL_SLOTS="1", GRISTMILL_SOURCES=f"file://{DATA}/") as stack, tempfile.TemporaryDirectory() as folder:
        for question, kind in CASES:
            file = csv if kind == "csv" else parquet
            found = measure(stack, question, file, runs, Path(folder))
            results[f"{question} {kind}"] = found
            shown = table(f"{question} over {kind.upper()}, {rows:,} rows, {file.stat().st_size / 1e6:,.0f} MB", found)
            print("\n".join(shown), flush=True)
            lines += shown
    versions = {name: version(name) for name in ("duckdb", "polars", "dask", "pandas", "numpy", "pyarrow", "gristmill")}
    print(f"{platform.python_version()} on {os.cpu_count()} cores; {versions}; {runs} runs each")
    OUT.mkdir(exist_ok=True)
    document = {
        "rows": rows,
        "runs": runs,
        "versions": versions,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "results": results,
    }
    (OUT / "groupby.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
