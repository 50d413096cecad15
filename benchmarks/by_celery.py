"""Celery over the same Valkey: its application, its worker, and the client that sends and waits.

The settings are those that its documents advise for long tasks: late acknowledgement, and no prefetch beyond
one task a process. For short tasks they advise a large prefetch, which the jobs that do nothing have.
"""

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery, chord, group

from benchmarks import chunks
from benchmarks.processes import started

PATIENCE = 600
PROCESSES = 2
SHORT_PREFETCH = 64
app = Celery("benchmarks.by_celery")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_send_task_events=False,
    result_expires=PATIENCE,
)


def connect(url: str) -> None:
    app.conf.update(broker_url=url, result_backend=url)


if "PEERS_REDIS_URL" in os.environ:
    connect(os.environ["PEERS_REDIS_URL"])
part = app.task(chunks.part, name="part")
together = app.task(chunks.together, name="together")
small = app.task(chunks.small, name="small")


@app.task(name="nothing")
def nothing(number: int) -> int:
    return number


class Client:
    """A client of a worker that runs; `pids` is its process, which has the others below it."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids

    def answer(self, question: str, file: Path, folder: Path, out: Path) -> None:
        """Group *file* by a chord of chunks, into Parquet at *out*; their files are in *folder*."""
        parts = [part.s(question, str(file), *cut, str(folder)) for cut in chunks.cuts(file)]
        chord(parts)(together.s(question, str(out))).get(timeout=PATIENCE)

    def small(self, file: Path) -> list[dict[str, Any]]:
        return small.delay(str(file)).get(timeout=PATIENCE)

    def nothing(self, count: int) -> float:
        """Seconds for so many tasks, from the first one's sending to the last one's result."""
        start = time.perf_counter()
        found = group(nothing.s(number) for number in range(count)).apply_async().get(timeout=PATIENCE)
        assert found == [*range(count)], "a task has another's result"
        return time.perf_counter() - start


@contextmanager
def running(url: str, log: Path, *, jobs_at_once: int = 1) -> Iterator[Client]:
    """A worker of two processes that has done a task."""
    options = [
        "--pool=prefork",
        f"--concurrency={PROCESSES}",
        f"--prefetch-multiplier={SHORT_PREFETCH if jobs_at_once > 1 else 1}",
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=WARNING"),
    ]
    command = [sys.executable, "-m", "celery", "-A", __name__, "worker", *options]
    connect(url)
    with started(command, {"PEERS_REDIS_URL": url}, log) as worker:
        client = Client([worker])
        client.nothing(4)
        yield client
        gc.collect()  # results unsubscribe when they go, for which the server must still be there
        app.close()
