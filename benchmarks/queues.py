"""Gristmill beside what a team would build first: a bare arq job per chunk, and Celery.

All of them are up when the time begins. Each has two processes and the same Valkey. The answers are compared
before the times count.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pandas as pd

from benchmarks import by_arq, by_celery, no_kernel, small_jobs
from benchmarks.answers import RTOL, check, of_table
from benchmarks.chunks import SPLITS
from benchmarks.data import make
from benchmarks.groupby import OFTEN, SELDOM, SETTINGS, Case, gristmill, timed
from benchmarks.options import parser, whole
from benchmarks.processes import cpu_seconds, peak_memory
from benchmarks.stack import start_no_kernel, warm_stack
from benchmarks.tables import NAMES, other_engines
from tests.support.servers import embedded_redis
from tests.support.stack import Stack, eventually

QUESTIONS = ("q1", "q3")
AT_ONCE = 10
"""Jobs that do nothing of one arq worker: the default of arq."""
POSTS_AT_ONCE = 8


class Counts(NamedTuple):
    """How many small jobs, and how many jobs that do nothing, of the peers and of Gristmill."""

    small: int = 50
    nothing: int = 3000
    ours: int = 300


FULL, TINY = Counts(), Counts(1, 4, 2)
Peer = by_arq.Arq | by_celery.Client
Started = Callable[..., AbstractContextManager[Peer]]


def measure(file: Path, runs: int, counts: Counts = FULL) -> dict[str, Any]:
    """`questions`: a case for each, as benchmarks.groupby has them; `jobs`: figures by engine."""
    with tempfile.TemporaryDirectory() as folder, embedded_redis(Path(folder)) as url:
        peers: dict[str, Started] = {
            name: partial(module.running, url, Path(folder) / f"{name}.log")
            for name, module in {"arq": by_arq, "celery": by_celery}.items()
        }
        return {
            "questions": _questions(peers, file, runs, Path(folder)),
            "jobs": _ours(counts) | {name: _theirs(peers[name], counts, Path(folder)) for name in peers},
        }


def _questions(peers: dict[str, Started], file: Path, runs: int, folder: Path) -> list[dict[str, Any]]:
    cases = {
        name: {"question": name, "format": "csv", "engines": {engine: [] for engine in ("gristmill", *peers)}}
        for name in QUESTIONS
    }
    answers = {}
    with warm_stack(workers=2, **SETTINGS) as stack:
        for run in range(runs + 1):
            pause = SELDOM if run else OFTEN
            for name in QUESTIONS:
                figures, relation = gristmill(stack, Case(name, file), pause)
                cases[name]["engines"]["gristmill"].append(figures)
                if name not in answers:
                    answers[name] = of_table(stack.database_url, name, relation)
            for engine, running in peers.items():
                with running() as peer:
                    for name in QUESTIONS:
                        out = folder / "answer.parquet"
                        cases[name]["engines"][engine].append(_answered(peer, name, file, out, pause))
                        check(name, answers[name], pd.read_parquet(out), engine)
    for case in cases.values():
        case["engines"] = {engine: timed(found) for engine, found in case["engines"].items()}
    return list(cases.values())


def _answered(peer: Peer, question: str, file: Path, out: Path, pause: float) -> dict[str, float]:
    before = cpu_seconds(peer.pids)
    with tempfile.TemporaryDirectory(dir=out.parent) as parts, peak_memory(peer.pids, pause) as peak:
        start = time.perf_counter()
        peer.answer(question, file, Path(parts), out)
        wall = time.perf_counter() - start
    return {"wall": wall, "cpu": cpu_seconds(peer.pids) - before, "peak_mb": peak.mb}


def _theirs(running: Started, counts: Counts, folder: Path) -> dict[str, Any]:
    file = folder / "small.csv"
    file.write_text(small_jobs.one_megabyte())
    with running() as peer:
        peer.small(file)
        times = []
        for _ in range(counts.small):
            start = time.perf_counter()
            rows = peer.small(file)
            times.append((time.perf_counter() - start) * 1000)
        _check_small(rows, file)
    with running(jobs_at_once=AT_ONCE) as peer:
        before = cpu_seconds(peer.pids)
        seconds = peer.nothing(counts.nothing)
        spent = cpu_seconds(peer.pids) - before
    return _jobs(times, counts.nothing, seconds, spent)


def _ours(counts: Counts) -> dict[str, Any]:
    small = small_jobs.measure(warming=5 if counts.small > 1 else 0, runs=counts.small, check=_check_small)
    with warm_stack(workers=0) as stack:
        start_no_kernel(stack, 2, 1, 0.0)
        spec = no_kernel.spec(stack.write("one", b"k"))
        asyncio.run(_posted(stack, spec, 2))
        pids = [process.popen.pid for process in stack.processes]
        before, start = cpu_seconds(pids), time.perf_counter()
        asyncio.run(_posted(stack, spec, counts.ours))
        eventually(
            lambda: not stack.sql("SELECT 1 FROM gristmill.jobs WHERE finished_at IS NULL LIMIT 1"),
            "the end of all jobs",
        )
        seconds, spent = time.perf_counter() - start, cpu_seconds(pids) - before
        ends = stack.sql("SELECT state::text, count(*) FROM gristmill.jobs GROUP BY 1")
        assert ends == [("succeeded", counts.ours + 2)], ends
    return {"gristmill": _jobs(small["ms"], counts.ours, seconds, spent)}


async def _posted(stack: Stack, spec: dict[str, Any], count: int) -> None:
    gate = asyncio.Semaphore(POSTS_AT_ONCE)
    async with httpx2.AsyncClient(base_url=str(stack.http.base_url), timeout=60) as http:

        async def post() -> None:
            async with gate:
                (await http.post("/v1/jobs", json=spec)).raise_for_status()

        await asyncio.gather(*(post() for _ in range(count)))


def _jobs(small_ms: list[float], count: int, seconds: float, cpu: float) -> dict[str, Any]:
    return {
        "small_ms": sorted(small_ms),
        "nothing": count,
        "per_s": count / seconds,
        "cpu_ms": 1000 * cpu / count,
    }


def _check_small(rows: list[dict[str, Any]], file: Path) -> None:
    frame = pd.read_csv(file)
    expected = frame.groupby("id1").agg(v1=("v1", "sum"), v3=("v3", "mean")).reset_index()
    found = pd.DataFrame(rows).rename(columns={"sum_v1": "v1", "mean_v3": "v3"})
    found = found.sort_values("id1", ignore_index=True)[[*SPLITS["small"].keys, "v1", "v3"]]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=RTOL)


def shown(figures: dict[str, Any]) -> list[str]:
    lines = [
        "| engine | small job (1 MB), median ms | p10 to p90 | jobs that do nothing, per s | CPU ms each |",
        "|---|---|---|---|---|",
    ]
    for name, found in figures["jobs"].items():
        times = found["small_ms"]
        p10, p90 = times[len(times) // 10], times[len(times) * 9 // 10]
        lines.append(
            f"| {NAMES.get(name, name)} | {statistics.median(times):.0f} | {p10:.0f} to {p90:.0f} "
            f"| {found['per_s']:.0f} | {found['cpu_ms']:.1f} |"
        )
    return [*other_engines(figures["questions"]), "", *lines]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=whole, default=10_000_000, help="of the groupby data (default 1e7)")
    options.add_argument("--runs", type=int, default=3, help="of each engine and question (default 3)")
    asked = options.parse_args()
    tiny = asked.tiny
    found = measure(make(1_000 if tiny else asked.rows)[0], 1 if tiny else asked.runs, TINY if tiny else FULL)
    print("\n".join(shown(found)))


if __name__ == "__main__":
    main()
