"""What it costs to be watched: a scrape of a full service, and a job of many chunks with metrics and traces.

The scrape: 10,000 jobs of 100 tenants wait, and each route was used. Its reader times it, when the figures of
the service are read anew and when they are not. The job: processor seconds of the gateway and the worker with
its children, without and with a scrape each five seconds and an exporter of every span, in turns.
"""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from benchmarks.data import make
from benchmarks.options import parser
from benchmarks.processes import cpu_seconds
from benchmarks.stack import run_job, warm_stack
from tests.support.metrics import url_of
from tests.support.stack import Stack

SCRAPE_BAR_MS, PAGE_BAR_KB, CPU_BAR = 50.0, 200.0, 1.03
FRESH_SECONDS = 5.1
"""A gateway reads the figures of the service anew after five seconds."""
_JOBS = """
INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest)
SELECT 'job_' || n, 'tenant' || n %% %s, '{}', '' FROM generate_series(1, %s) n"""
_UNITS = """
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version)
SELECT id, 'plan', 0, 1, 1 FROM gristmill.jobs"""


def scrapes(jobs: int, times: int) -> dict[str, float]:
    with warm_stack(workers=0, GRISTMILL_METRICS_PORT="0") as stack:
        stack.sql(_JOBS, 100, jobs)
        stack.sql(_UNITS)
        stack.sql("ANALYZE gristmill.jobs, gristmill.units")
        _use_all_routes(stack)
        url = url_of(stack.processes[0])
        with httpx2.Client() as client:
            fresh, kept = [], []
            for _ in range(times):
                time.sleep(FRESH_SECONDS if times > 1 else 0)
                fresh.append(_milliseconds(client, url))
                kept.append(_milliseconds(client, url))
            page = client.get(url).text
    assert f'gristmill_open_jobs{{state="queued"}} {float(jobs)}' in page
    return {
        "jobs": jobs,
        "fresh_ms": statistics.median(fresh),
        "slowest_ms": max(fresh),
        "kept_ms": statistics.median(kept),
        "page_kb": len(page) / 1000,
    }


def _use_all_routes(stack: Stack) -> None:
    """Each operation, so that the page has its lines."""
    for path, methods in stack.http.get("/openapi.json").json()["paths"].items():
        named = path.replace("{id}", "job_0").replace("{version}", "1").replace("{name}", "none")
        for method in methods.keys() & {"get", "post", "put", "patch", "delete", "head"}:
            stack.http.request(method, named.replace("{file}", "none"))


def _milliseconds(client: httpx2.Client, url: str) -> float:
    begun = time.perf_counter()
    client.get(url).raise_for_status()
    return 1000 * (time.perf_counter() - begun)


class _Sink(BaseHTTPRequestHandler):
    """Takes spans; its own time is not measured."""

    def do_POST(self) -> None:  # the name that http.server calls
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """No line for each request."""


@contextmanager
def _sink() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def _scraped(stack: Stack, period: float = 5.0) -> Iterator[None]:
    """Both programs are scraped again and again."""
    done, urls = threading.Event(), [url_of(process) for process in stack.processes[:2]]

    def scrape() -> None:
        with httpx2.Client() as client:
            while not done.wait(period):
                for url in urls:
                    client.get(url)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def cpu(rows: int, chunks: int, runs: int) -> dict[str, Any]:
    file, _ = make(rows)
    spec = {
        "source": {"uris": [f"file://{file}"], "format": "csv"},
        "group_by": ["id1"],
        "aggregates": [{"fn": "sum", "column": "v1"}],
        "options": {"chunk_bytes": file.stat().st_size // chunks},
        "limits": {"max_chunks": 2 * chunks},
    }
    allowed = {"GRISTMILL_SOURCES": f"file://{file.parent}/", "GRISTMILL_MIN_CHUNK_BYTES": "1"}
    with ExitStack() as kept:
        endpoint = kept.enter_context(_sink())
        watched = {"GRISTMILL_METRICS_PORT": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        off = kept.enter_context(warm_stack(**allowed))
        on = kept.enter_context(warm_stack(**allowed, **watched))
        kept.enter_context(_scraped(on))
        for stack in (off, on):
            run_job(stack, spec)
        seconds: dict[str, list[float]] = {"off": [], "on": []}
        turns = [("off", off), ("on", on)]
        for _ in range(runs):
            for name, stack in turns:
                pids = [process.popen.pid for process in stack.processes]
                before = cpu_seconds(pids)
                job = run_job(stack, spec)
                seconds[name].append(cpu_seconds(pids) - before)
            turns.reverse()
    # Of the least of each side: other work on the machine only adds to processor time.
    ratio = min(seconds["on"]) / min(seconds["off"])
    return {"chunks": job["progress"]["chunks"]["total"], "ratio": ratio, "seconds": seconds}


def measure(*, tiny: bool = False) -> dict[str, Any]:
    if tiny:
        return {"scrape": scrapes(10, 1), "cpu": cpu(1000, 3, 1)}
    return {"scrape": scrapes(10_000, 5), "cpu": cpu(1_000_000, 1000, 9)}


def shown(figures: dict[str, Any]) -> list[str]:
    scrape, cost = figures["scrape"], figures["cpu"]
    off, on = (min(cost["seconds"][name]) for name in ("off", "on"))
    jobs = f"{scrape['jobs']:,} waiting jobs of 100 tenants"
    return [
        "| being watched | measured |",
        "|---|---|",
        f"| a scrape that reads all anew, {jobs} (bar {SCRAPE_BAR_MS:g} ms) | {scrape['fresh_ms']:.0f} ms |",
        f"| the slowest of them | {scrape['slowest_ms']:.0f} ms |",
        f"| a scrape within five seconds of it | {scrape['kept_ms']:.0f} ms |",
        f"| the page, when each route was used (bar {PAGE_BAR_KB:g} KB) | {scrape['page_kb']:.0f} KB |",
        f"| CPU s of {cost['chunks']:,} chunks, unwatched and watched, least of 9 | {off:.2f} and {on:.2f} |",
        f"| the second as a multiple of the first (bar {CPU_BAR:g}) | {cost['ratio']:.3f} |",
    ]


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--json", action="store_true", help="print the figures, not the table")
    asked = options.parse_args()
    found = measure(tiny=asked.tiny)
    print(json.dumps(found) if asked.json else "\n".join(shown(found)))
