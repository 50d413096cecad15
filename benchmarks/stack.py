"""A warm stack: embedded servers with default settings, one gateway, one worker of two slots."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared.db.migrate import upgrade_blocking
from tests.support.servers import embedded_postgres, embedded_redis
from tests.support.stack import Process, Stack, running


@contextmanager
def warm_stack(workers: int = 1, **settings: str) -> Iterator[Stack]:
    with (
        TemporaryDirectory() as folder,
        embedded_postgres(Path(folder)) as dsn,
        embedded_redis(Path(folder)) as redis,
    ):
        upgrade_blocking(dsn)
        opened = os.geteuid() != 0  # their memory is measured
        with running(
            dsn,
            redis,
            Path(folder),
            workers=workers,
            opened=opened,
            **{"GRISTMILL_TIME_SCALE": "1", **settings},
        ) as stack:
            yield stack


def ended_job(stack: Stack, spec: dict[str, Any]) -> dict[str, Any]:
    """The job document, whatever the end."""
    job = stack.submit(spec, Prefer="wait=20")
    while not job["done"]:
        job = stack.http.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=20"}, timeout=60).json()
    return job


def run_job(stack: Stack, spec: dict[str, Any]) -> dict[str, Any]:
    job = ended_job(stack, spec)
    assert job["state"] == "succeeded", job["error"]
    return job


def start_no_kernel(stack: Stack, count: int, slots: int, seconds: float) -> list[Process]:
    """Workers whose chunks only sleep for *seconds* (benchmarks.no_kernel), once they are all up."""
    return stack.workers(count, "benchmarks.no_kernel", str(seconds), GRISTMILL_SLOTS=str(slots))
