"""A bare arq job per chunk: its worker, and the client that enqueues and waits.

Two worker processes run one job at a time each, because pandas blocks a worker's event loop. The client and
the workers poll every 10 ms, not every 500 ms.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job

from benchmarks import chunks
from benchmarks.processes import started

POLL_SECONDS = 0.01
PATIENCE = 600
ENQUEUED_AT_ONCE = 50
SETTINGS = RedisSettings.from_dsn(os.environ.get("PEERS_REDIS_URL", "redis://127.0.0.1"))


async def part(_: dict[str, Any], *arguments: Any) -> str:
    return chunks.part(*arguments)


async def together(_: dict[str, Any], *arguments: Any) -> str:
    return chunks.together(*arguments)


async def small(_: dict[str, Any], file: str) -> list[dict[str, Any]]:
    return chunks.small(file)


async def nothing(_: dict[str, Any], number: int) -> int:
    return number


class WorkerSettings:
    functions = (part, together, small, nothing)
    redis_settings = SETTINGS
    max_jobs = int(os.environ.get("PEERS_MAX_JOBS", "1"))
    poll_delay = POLL_SECONDS
    job_timeout = PATIENCE


class Arq:
    """A client of workers that run; `pids` are theirs."""

    def __init__(self, pids: list[int], pool: ArqRedis, runner: asyncio.Runner) -> None:
        self.pids, self._pool, self._runner = pids, pool, runner

    def answer(self, question: str, file: Path, folder: Path, out: Path) -> None:
        """Group *file* by jobs of chunks, into Parquet at *out*; their files are in *folder*."""

        async def run() -> None:
            parts = [(question, str(file), *cut, str(folder)) for cut in chunks.cuts(file)]
            paths = await self._results("part", parts)
            await self._results("together", [(paths, question, str(out))])

        self._runner.run(run())

    def small(self, file: Path) -> list[dict[str, Any]]:
        return self._runner.run(self._results("small", [(str(file),)]))[0]

    def nothing(self, count: int) -> float:
        """Seconds for so many jobs, from the first one's enqueuing to the last one's result."""
        start = time.perf_counter()
        found = self._runner.run(self._results("nothing", [(number,) for number in range(count)]))
        assert found == [*range(count)], "a job has another's result"
        return time.perf_counter() - start

    async def _results(self, function: str, calls: list[tuple[Any, ...]]) -> list[Any]:
        jobs: list[Job | None] = []
        for first in range(0, len(calls), ENQUEUED_AT_ONCE):
            some = calls[first : first + ENQUEUED_AT_ONCE]
            jobs += await asyncio.gather(*(self._pool.enqueue_job(function, *call) for call in some))
        return [await job.result(timeout=PATIENCE, poll_delay=POLL_SECONDS) for job in jobs if job]


@contextmanager
def running(url: str, log: Path, *, jobs_at_once: int = 1) -> Iterator[Arq]:
    """Two workers that have done a job."""
    command = [sys.executable, "-m", "arq", f"{__name__}.WorkerSettings"]
    env = {"PEERS_REDIS_URL": url, "PEERS_MAX_JOBS": str(jobs_at_once)}
    with (
        started(command, env, log) as first,
        started(command, env, log) as second,
        asyncio.Runner() as runner,
    ):
        pool = runner.run(create_pool(RedisSettings.from_dsn(url)))
        arq = Arq([first, second], pool, runner)
        arq.nothing(4)
        yield arq
        runner.run(pool.aclose())
