"""A worker whose slots only sleep: the rest is the control plane.

`python -m benchmarks.no_kernel SECONDS` runs one.

Everything but the children is real: the parent, Postgres, Valkey. A file of n bytes with `chunk_bytes: 1` is
a job of n chunks.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared import log
from shared.settings import Settings
from worker_service.child import wire
from worker_service.executor import Answer, Child, Executor
from worker_service.worker import run

RUN_BY = ("control_plane", "worker_processes")
PIECE = bytes(200)


def spec(uri: str) -> dict[str, Any]:
    """A job of as many chunks as the file at *uri* has bytes."""
    return {
        "source": {"uris": [uri], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
        "options": {"chunk_bytes": 1},
    }


class NoChild(Child):
    """Sleeps instead of computing, and answers as a child would."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @property
    def alive(self) -> bool:
        return True

    @property
    def pid(self) -> int:
        return os.getpid()

    @asynccontextmanager
    async def run(
        self, request: dict[str, Any], files: list[int], allowed: timedelta
    ) -> AsyncIterator[Answer]:
        if self._seconds and request["task"] == "chunk":
            async with asyncio.timeout(allowed.total_seconds()):
                await asyncio.sleep(self._seconds)
        answered = wire.memory_file("answer")
        try:
            header, body = ANSWERS[request["task"]](request, files)
            wire.write_answer(answered, header, body)
            yield Answer(*_opened(answered))
        finally:
            os.close(answered)

    async def stop(self) -> None:
        """There is no process."""


class NoKernel(Executor):
    """Slots without processes; *seconds* is how long a chunk takes."""

    def __init__(self, slots: int, seconds: float = 0.0) -> None:
        super().__init__(slots, 0)
        self._child = NoChild(seconds)

    async def start(self) -> None:
        """Nothing to start."""

    @property
    def ready(self) -> int:
        return self.slots

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        yield self._child


def _opened(answered: int) -> tuple[dict[str, Any], int, int]:
    header, offset = wire.read_header(answered)
    return header, answered, offset


def _plan(request: dict[str, Any], _: list[int]) -> tuple[dict[str, Any], list[bytes]]:
    uri, root, below = request["locations"][0]
    file = Path(root, below).stat()
    named = {
        "uri": uri,
        "root": root,
        "below": below,
        "size": file.st_size,
        "mtime_ns": file.st_mtime_ns,
        "inode": file.st_ino,
    }
    chunks = [{"extents": [[0, start, start + 1, 0]], "bytes": 1} for start in range(file.st_size)]
    schema = [{"name": "k", "type": "string", "declared": False}]
    found = {"files": [named], "bytes": file.st_size, "warnings": [], "format": "csv"}
    return {**found, "schema": schema, "chunks": chunks, "guessed": False}, []


def _chunk(_: dict[str, Any], __: list[int]) -> tuple[dict[str, Any], list[bytes]]:
    return {"rows_read": 1, "rows_aggregated": 1, "rows_dropped": 0, "pieces": [[0, 1023, 1, len(PIECE)]]}, [
        PIECE
    ]


def _merge(request: dict[str, Any], _: list[int]) -> tuple[dict[str, Any], list[bytes]]:
    return {"rows": 0, "rows_aggregated": len(request["pieces"]), "widened": [], "buckets": {}}, []


ANSWERS = {"plan": _plan, "chunk": _chunk, "merge": _merge}


def main() -> None:
    settings = Settings()
    log.configure(settings)
    run(settings, NoKernel(settings.slots, float(sys.argv[1])))


if __name__ == "__main__":
    main()
