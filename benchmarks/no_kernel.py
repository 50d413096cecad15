"""A worker whose slots only sleep: the rest is the control plane.

`python -m benchmarks.no_kernel SECONDS` runs one.

Everything but the children is real: the parent, Postgres, Valkey. A file of n bytes with `chunk_bytes: 1` is
a job of n chunks.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from msgspec import Raw

from shared import log
from shared.core.plan import ChunkPayload, DatasetFile, Extent, MergeStats, Plan, PlannedColumn
from shared.core.row_counts import RowCounts
from shared.settings import Settings
from shared.storage.sources import Location
from worker_service.executors.processes.channel import MemoryFile
from worker_service.executors.protocol import Answer, Blob, Child
from worker_service.messages import (
    ChunkResult,
    ChunkTask,
    MergeResult,
    MergeTask,
    PartialHeader,
    PlannedChunk,
    PlanResult,
    PlanTask,
    R,
    Result,
    Task,
    encode,
)
from worker_service.worker import run

RUN_BY = ("control_plane", "worker_processes")
PARTIAL = bytes(200)


def spec(uri: str) -> dict[str, Any]:
    """A job of as many chunks as the file at *uri* has bytes."""
    return {
        "source": {"uris": [uri], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
        "options": {"chunk_bytes": 1},
    }


class NoChild:
    """A `Child` that sleeps instead of computing, and answers what its parent wants to hear."""

    alive = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def attachment(self) -> closing[MemoryFile]:
        return closing(MemoryFile.create("attachment"))

    @asynccontextmanager
    async def run(
        self,
        task: Task[R],
        allowed: timedelta,
        attachment: Blob | None = None,  # noqa: ARG002
    ) -> AsyncIterator[Answer[R]]:
        if self._seconds and isinstance(task, ChunkTask):
            async with asyncio.timeout(allowed.total_seconds()):
                await asyncio.sleep(self._seconds)
        with self.attachment() as body:
            yield Answer(cast("R", _result(task, body)), body)

    def preempt(self) -> bool:
        return False


class NoKernel:
    """An `Executor` of slots without processes; *seconds* is how long a chunk takes."""

    ready: int
    rights: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, slots: int, seconds: float) -> None:
        self.slots = self.ready = slots
        self.child_ready = asyncio.Event()
        self._child = NoChild(seconds)

    async def start(self) -> None:
        """Nothing has to start."""

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        yield self._child

    async def maintain(self) -> None:
        """Nothing can break."""

    async def close(self) -> None:
        """Nothing is open."""


def _result(task: Task[R], body: MemoryFile) -> Result:
    match task:
        case PlanTask():
            return _plan(task.locations[0])
        case ChunkTask():
            body.write(PARTIAL)
            return ChunkResult(
                RowCounts(read=1, aggregated=1), (PartialHeader(0, 1023, 1, *2 * [len(PARTIAL)]),)
            )
        case MergeTask():
            return MergeResult(0, len(task.partials), MergeStats())
        case _:
            raise TypeError(task)


def _plan(at: Location) -> PlanResult:
    status = Path(at.root, at.below).stat()
    file = DatasetFile(
        uri=at.uri, root=at.root, below=at.below, size=status.st_size, mtime_ns=status.st_mtime_ns
    )
    plan = Plan(files=(file,), format="csv", schema=(PlannedColumn("k", "string"),), bytes=status.st_size)
    extents = (Extent(0, start, start + 1, 0) for start in range(status.st_size))
    cuts = (PlannedChunk(ChunkPayload((extent,)), 1) for extent in extents)
    return PlanResult(plan, tuple(Raw(encode(cut)) for cut in cuts))


def main() -> None:
    settings = Settings()
    log.configure(settings)
    run(settings, NoKernel(settings.slots, float(sys.argv[1])))


if __name__ == "__main__":
    main()
