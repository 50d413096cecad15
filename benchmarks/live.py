"""Live views: polls of a running job beside a bare aiohttp handler, and a crowd of listeners.

Polls: requests per second and processor time of each, in turns, with the same bytes; queries that Postgres
answers meanwhile; the time of a submit. Listeners: the memory that the gateway grows by for each stream of
events, and the time in which an event reaches all.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.options import parser
from benchmarks.processes import cpu_seconds, started
from benchmarks.stack import warm_stack
from gristmill.launcher.servers import free_port
from tests.support.stack import Stack, eventually


@dataclass(frozen=True)
class Size:
    """*seconds* of each turn of polls, *chunks* of the polled job, and how many listeners there are.

    Postgres tells the figures of an idle session after ten seconds. *told* is the wait for them.
    """

    turns: int
    seconds: float
    chunks: int
    submits: int
    listeners: int
    events: int
    told: float


FULL = Size(turns=5, seconds=2.0, chunks=640, submits=200, listeners=1000, events=10, told=11.0)
TINY = Size(turns=1, seconds=0.2, chunks=4, submits=3, listeners=10, events=2, told=0.1)
CLIENTS = 8
RATIO_BAR, QUERIES_BAR, SUBMIT_BAR_MS, GROWTH_BAR_MB, REACH_BAR = 0.5, 4.0, 8.0, 30.0, 1.0
_RUNNING = """
UPDATE gristmill.jobs SET state = 'running', phase = 'scanning', started_at = now() - interval '1 min',
       planned_at = now() - interval '1 min', revision = revision + 1,
       plan = '{"files": [], "schema": [{"name": "k", "type": "string"}], "bytes": 1}'
WHERE id = %s"""
_CHUNKS = """
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, bytes, finished_at)
SELECT %s, 'chunk', no, 1, CASE WHEN no %% 2 = 0 THEN 'done' ELSE 'pending' END, 1, 64 << 20, now()
FROM generate_series(0, %s - 1) no"""
_STEP = "UPDATE gristmill.jobs SET revision = revision + 1 WHERE id = %s"
_LOOKED = """
SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'jobs_pkey'"""


def running_job(stack: Stack, chunks: int) -> str:
    """A job that says that it runs; no worker is there."""
    spec = {
        "source": {"uris": [stack.write("a.csv", "k\na\n")], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }
    job_id: str = stack.submit(spec)["id"]
    stack.sql(_RUNNING, job_id)
    stack.sql(_CHUNKS, job_id, chunks)
    return job_id


async def _poll(port: int, path: str, seconds: float) -> float:
    """Requests per second over CLIENTS connections, each with one request at a time."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    end, count = time.perf_counter() + seconds, 0

    async def client() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            count += 1
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return count / (time.perf_counter() - begun)


def polls(stack: Stack, size: Size) -> dict[str, float]:
    job_id, gateway = running_job(stack, size.chunks), stack.processes[0].popen.pid
    path = f"/v1/jobs/{job_id}"
    port = free_port()
    rates: dict[str, list[float]] = {"gateway": [], "bare": []}
    micros: dict[str, list[float]] = {"gateway": [], "bare": []}
    with TemporaryDirectory() as folder:
        body = Path(folder, "body.json")
        body.write_bytes(stack.http.get(path).content)
        command = [sys.executable, "-m", "benchmarks.bare_server", str(port), str(body)]
        with started(command, {}, Path(folder, "log")) as bare:
            eventually(lambda: _answers(port), "the bare server")
            sides = {"gateway": (stack.port, path, gateway), "bare": (port, "/", bare)}
            for _ in range(size.turns):
                for name, (at, url, pid) in sides.items():
                    before = cpu_seconds([pid])
                    rate = asyncio.run(_poll(at, url, size.seconds))
                    rates[name].append(rate)
                    micros[name].append(1e6 * (cpu_seconds([pid]) - before) / (rate * size.seconds))
    return {
        **{f"{name}_per_second": max(found) for name, found in rates.items()},
        **{f"{name}_micros": min(found) for name, found in micros.items()},
        "ratio": statistics.median(g / b for g, b in zip(rates["gateway"], rates["bare"], strict=True)),
        "queries_per_second": _queries(stack, path, size),
    }


def _answers(port: int) -> bool:
    try:
        return asyncio.run(_poll(port, "/", 0.0)) >= 0
    except OSError:
        return False


def _queries(stack: Stack, path: str, size: Size) -> float:
    """How often Postgres looks at a job's row in a second while it is polled."""
    time.sleep(size.told)
    before, seconds = _looked(stack), 4 * size.seconds
    asyncio.run(_poll(stack.port, path, seconds))
    time.sleep(size.told)
    return (_looked(stack) - before) / seconds


def _looked(stack: Stack) -> int:
    return int(stack.sql(_LOOKED)[0][0])


def submits(stack: Stack, size: Size) -> float:
    """The median of milliseconds of a submit."""
    spec = {
        "source": {"uris": [stack.write("a.csv", "k\na\n")], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }
    taken = []
    for _ in range(size.submits):
        begun = time.perf_counter()
        stack.submit(spec)
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


async def _listen(stack: Stack, size: Size, job_id: str, memory: Callable[[], float]) -> dict[str, float]:
    """Megabytes that the gateway grows by, and the longest time in which an event reached all listeners."""
    request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\n\r\n".encode()
    reached: Counter[int] = Counter()
    all_have: dict[int, asyncio.Future[float]] = defaultdict(asyncio.get_running_loop().create_future)

    async def listener() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.port, limit=1 << 20)
        writer.write(request)
        revision = 0
        while line := await reader.readline():
            if line.startswith(b"id: "):
                revision = int(line[4:])
            elif line == b"event: state\n":
                reached[revision] += 1
                if reached[revision] == size.listeners:
                    all_have[revision].set_result(time.perf_counter())

    before, revision = memory(), stack.job(job_id)["revision"]
    tasks = []
    for _ in range(size.listeners):
        tasks.append(asyncio.create_task(listener()))
        await asyncio.sleep(0)
    await all_have[revision]
    slowest = 0.0
    for _ in range(size.events):
        await asyncio.sleep(0.5)
        begun, revision = time.perf_counter(), revision + 1
        await asyncio.to_thread(stack.sql, _STEP, job_id)
        slowest = max(slowest, await all_have[revision] - begun)
    grown = memory() - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"listeners": size.listeners, "growth_mb": grown, "reach_seconds": slowest}


def measure(*, tiny: bool = False) -> dict[str, Any]:
    size = TINY if tiny else FULL
    with warm_stack(workers=0) as stack:
        gateway = psutil.Process(stack.processes[0].popen.pid)
        listened = asyncio.run(
            _listen(stack, size, running_job(stack, size.chunks), lambda: gateway.memory_info().rss / 1e6)
        )
        return {**polls(stack, size), "submit_ms": submits(stack, size), **listened}


def shown(figures: dict[str, Any]) -> list[str]:
    rate = "{gateway_per_second:,.0f} and {bare_per_second:,.0f}".format(**figures)
    queries = f"{figures['queries_per_second']:.1f}"
    growth = f"{figures['growth_mb']:.1f} MB"
    listeners = f"{figures['listeners']:,} listeners (bar {GROWTH_BAR_MB:g} MB)"
    micros = "{gateway_micros:.0f} and {bare_micros:.0f}".format(**figures)
    return [
        "| live views | measured |",
        "|---|---|",
        f"| polls of a running job per second, and requests to a bare aiohttp handler | {rate} |",
        f"| the part of the second that the first is (bar {RATIO_BAR:g}) | {figures['ratio']:.2f} |",
        f"| microseconds of processor for each | {micros} |",
        f"| queries in a second for the polled job (bar {QUERIES_BAR:g}) | {queries} |",
        f"| submit, p50 (bar {SUBMIT_BAR_MS:g} ms) | {figures['submit_ms']:.1f} ms |",
        f"| the gateway grows by, for {listeners} | {growth} |",
        f"| an event reaches all of them within (bar {REACH_BAR:g} s) | {figures['reach_seconds']:.2f} s |",
    ]


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--json", action="store_true", help="print the figures, not the table")
    asked = options.parse_args()
    found = measure(tiny=asked.tiny)
    print(json.dumps(found) if asked.json else "\n".join(shown(found)))
