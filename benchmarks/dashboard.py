"""The dashboard: the list of many jobs, the page of a job of many chunks, and many open pages of one job.

Pages: milliseconds to the first byte, and the weight of a page with its scripts and styles, uncompressed.
Open pages: each follows its job and asks for the strip of chunks as the browser does, while chunks end. The
table has the queries for the row of the job, and the processor time of the gateway.
"""

import asyncio
import http.client
import re
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.live import running_job
from benchmarks.options import parser
from benchmarks.processes import cpu_seconds
from benchmarks.stack import warm_stack
from tests.support.stack import Stack


@dataclass(frozen=True)
class Size:
    """*chunks* are of the job whose page is read, *moving* of the job that many pages show."""

    jobs: int
    chunks: int
    reads: int
    pages: int
    moving: int
    seconds: float


FULL = Size(jobs=10_000, chunks=100_000, reads=20, pages=200, moving=1000, seconds=40.0)
TINY = Size(jobs=20, chunks=20, reads=2, pages=3, moving=20, seconds=0.5)
BYTE_BAR_MS, WEIGHT_BAR_KB, QUERIES_BAR, CPU_BAR = 100, 200, 1.0, 20
STRIP_SECONDS, STEP_SECONDS, VIEW_SECONDS = 3.0, 0.25, 0.25
_JOBS = """
INSERT INTO gristmill.jobs (id, spec, spec_digest, state, started_at, finished_at, result_name, error)
SELECT 'job_' || lpad(no::text, 26, '0'), '{}', '', CASE no %% 9 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
       now(), now(), 'result_' || no %% 100,
       CASE no %% 9 WHEN 0 THEN '{"code": "bad_row", "category": "source", "retryable": false, "detail": "x",
                                  "errors": []}'::json END
FROM generate_series(1, %s) no"""
_UNITS = """
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, bytes, finished_at)
SELECT id, 'chunk', no, 1, 'done', 1, 1000, now() FROM gristmill.jobs, generate_series(0, 9) no"""
_STEP = """
UPDATE gristmill.units SET state = 'done', finished_at = now(), rows_read = 1000 WHERE id = (
    SELECT id FROM gristmill.units WHERE job_id = %s AND state = 'pending' AND kind = 'chunk' LIMIT 1)"""
_LOOKED = """
SELECT sum(idx_scan)::bigint FROM pg_stat_user_indexes WHERE schemaname = 'gristmill' AND relname = 'jobs'"""


def first_byte_ms(stack: Stack, path: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", stack.port)
    connection.connect()
    begun = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    response.read(1)
    taken = 1000 * (time.perf_counter() - begun)
    assert response.status == 200, (path, response.read())
    connection.close()
    return taken


def page_figures(stack: Stack, path: str, size: Size) -> dict[str, float]:
    """The slowest and the median read, half a second apart, so that most find no view that is kept."""
    first_byte_ms(stack, path)  # the first one of a gateway compiles the template
    taken = []
    for _ in range(size.reads):
        taken.append(first_byte_ms(stack, path))
        time.sleep(0.01 if size is TINY else 0.5)
    html = stack.http.get(path).content
    files = set(re.findall(rb'(?:src|href)="(/assets/[^"]+)"', html))
    weight = len(html) + sum(len(stack.http.get(file.decode()).content) for file in files)
    taken.sort()
    return {
        "median_ms": taken[len(taken) // 2],
        "slowest_ms": taken[-1],
        "html_kb": len(html) / 1000,
        "weight_kb": weight / 1000,
    }


async def _follow(stack: Stack, path: str) -> None:
    """The stream of a page, read to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port, limit=1 << 20)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    while await reader.read(1 << 16):
        pass


async def _strip(stack: Stack, path: str, wait: float) -> None:
    """The strip of a page, asked for every STRIP_SECONDS with the digest of the last answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port, limit=1 << 20)
    await asyncio.sleep(wait)
    while True:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{stack.port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if length := re.search(rb"(?i)content-length: (\d+)", head):
            body = await reader.readexactly(int(length[1]))
            if found := re.search(rb'hx-get="([^"]+)"', body):
                path = found[1].decode().replace("&amp;", "&")
        await asyncio.sleep(STRIP_SECONDS)


async def _open_pages(stack: Stack, job_id: str, size: Size) -> dict[str, float]:
    """While *size.pages* are open and a chunk ends each STEP_SECONDS."""
    gateway = [stack.processes[0].popen.pid]
    html = stack.http.get(f"/jobs/{job_id}").text
    live, strip = (
        re.search(rf'hx-{what}="([^"]*/{end}\?[^"]+)"', html)[1].replace("&amp;", "&")
        for what, end in (("sse:connect", "live"), ("get", "strip"))
    )
    tasks = [asyncio.create_task(_follow(stack, live)) for _ in range(size.pages)]
    tasks += [
        asyncio.create_task(_strip(stack, strip, STRIP_SECONDS * no / size.pages)) for no in range(size.pages)
    ]
    # A new watch looks more often for a second, and Postgres tells its figures with a delay of another one.
    await asyncio.sleep(4.0)
    looked, cpu, begun = stack.sql(_LOOKED)[0][0], cpu_seconds(gateway), time.perf_counter()
    while time.perf_counter() - begun < size.seconds:
        await asyncio.to_thread(stack.sql, _STEP, job_id)
        await asyncio.sleep(STEP_SECONDS)
    spent, cpu = time.perf_counter() - begun, cpu_seconds(gateway) - cpu
    await asyncio.sleep(1.1)
    looked = stack.sql(_LOOKED)[0][0] - looked
    assert not any(task.done() for task in tasks), [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"queries": looked * VIEW_SECONDS / (spent + 1.1), "cpu_percent": 100 * cpu / spent}


def measure(*, tiny: bool = False) -> dict[str, Any]:
    size = TINY if tiny else FULL
    with warm_stack(workers=0) as stack:
        stack.sql(_JOBS, size.jobs)
        stack.sql(_UNITS)
        stack.sql("ANALYZE gristmill.jobs, gristmill.units")
        many = {"overview": page_figures(stack, "/", size), "list": page_figures(stack, "/jobs", size)}
        large, moving = running_job(stack, size.chunks), running_job(stack, size.moving)
        return many | {
            "jobs": size.jobs,
            "chunks": size.chunks,
            "pages": size.pages,
            "job": page_figures(stack, f"/jobs/{large}", size),
            "open": asyncio.run(_open_pages(stack, moving, size)),
        }


def shown(figures: dict[str, Any]) -> list[str]:
    titles = {
        "overview": f"overview with {figures['jobs']:,} jobs",
        "list": f"list of {figures['jobs']:,} jobs",
        "job": f"job of {figures['chunks']:,} chunks",
    }
    bars = f"first byte, median and slowest (bar {BYTE_BAR_MS} ms)", f"weight (bar {WEIGHT_BAR_KB} KB)"
    row = "{median_ms:.0f} and {slowest_ms:.0f} ms | {weight_kb:.0f} KB | {html_kb:.0f} KB |"
    opened = figures["open"]
    queries = f"queries for its row in {VIEW_SECONDS:g} s (bar {QUERIES_BAR:g})"
    return [
        f"| page | {' | '.join(bars)} | of it HTML |",
        "|---|---|---|---|",
        *(f"| {title} | {row.format(**figures[name])}" for name, title in titles.items()),
        "",
        f"| {figures['pages']} open pages of a job whose chunks end | measured |",
        "|---|---|",
        f"| {queries} | {opened['queries']:.2f} |",
        f"| gateway, percent of one core (bar {CPU_BAR}) | {opened['cpu_percent']:.0f} |",
    ]


if __name__ == "__main__":
    print("\n".join(shown(measure(tiny=parser(__doc__).parse_args().tiny))))
