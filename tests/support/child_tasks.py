"""The tasks that a parent gives a child, about files that lie in any folder."""

from pathlib import Path
from typing import Any

import msgspec

from shared.core.plan import PlannedColumn
from shared.storage.sources import Location
from worker_service.messages import (
    Access,
    AttachedPartial,
    ByteLimit,
    ChunkTask,
    MergeTask,
    PlanResult,
    PlanTask,
)

ANYWHERE = Access(own_folders=(), hidden=False, max_expansion=1000)


def raw(spec: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(spec))


def plan_task(spec: dict[str, Any], *paths: Path, **changes: Any) -> PlanTask:
    """A plan of the files, each of which is beneath a root of its own."""
    known = {
        "locations": tuple(Location(f"file://{path}", str(path.parent), path.name) for path in paths),
        "access": ANYWHERE,
        "max_names": 1000,
        "max_bytes": ByteLimit(1 << 40, "limits.max_bytes"),
        "chunk_bytes": 1000,
        "max_chunks": 1000,
        "prove": False,
    }
    return PlanTask(spec=raw(spec), **known | changes)


def chunk_task(spec: dict[str, Any], planned: PlanResult, no: int, **changes: Any) -> ChunkTask:
    """Chunk *no* of what a child has planned."""
    payload = list(planned.chunks())[no].payload
    known = {
        "no": no,
        "schema": planned.plan.schema,
        "delimiter": planned.plan.delimiter,
        "files": tuple(planned.plan.files[extent.file] for extent in payload.extents),
        "extents": payload.extents,
        "access": ANYWHERE,
        "batch_bytes": 1 << 20,
        "partial_bytes": 1 << 16,
    }
    return ChunkTask(spec=raw(spec), **known | changes)


def merge_task(
    spec: dict[str, Any],
    schema: tuple[PlannedColumn, ...],
    partials: list[AttachedPartial],
    first: int = 0,
    end: int = 1024,
) -> MergeTask:
    """Its rows are CSV."""
    return MergeTask(
        spec=raw(spec), schema=schema, partials=tuple(partials), first=first, end=end, as_csv=True
    )
