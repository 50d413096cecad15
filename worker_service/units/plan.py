"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries, which are proven if its payload says so."""

import asyncio
from typing import Any

from shared.db.units import Lease, NewUnit
from shared.errors import LimitExceeded
from shared.fault_points import reached
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import Schema
from worker_service.context import Context, Work
from worker_service.executor import Child
from worker_service.units import files
from worker_service.units.reading import reading


async def run(ctx: Context, lease: Lease, work: Work, child: Child) -> None:
    spec = JobSpec.model_validate(work.spec)
    locations = await asyncio.to_thread(files.find, list(spec.source.uris), ctx.settings, work.tenant)
    async with files.opened(locations) as descriptors:
        planned: list[dict[str, Any]] = [
            {"uri": at.uri, "root": at.root, "below": at.below, **files.fingerprint(fd)}
            for at, fd in zip(locations, descriptors, strict=True)
        ]
        request = {
            "task": "plan",
            "spec": work.spec,
            "uris": [at.uri for at in locations],
            "chunk_bytes": spec.options.chunk_bytes or ctx.settings.chunk_bytes,
            "max_chunks": spec.limits.max_chunks,
            "prove": lease.payload.get("prove", False),
        }
        _check_size(spec, planned)
        async with reading(child, request, descriptors, lease.allowed) as answer:
            header = answer.header
        files.check_unchanged(planned, descriptors)
    schema = Schema.from_json(header["schema"])
    bind(spec, schema)
    chunks = [
        NewUnit(no=no, payload={"extents": chunk["extents"], "guessed": header["guessed"]}, bytes=chunk["bytes"])
        for no, chunk in enumerate(header["chunks"])
    ]
    total = sum(file["size"] for file in planned)
    reached("plan.before_insert")
    settled = {"files": planned, "format": header["format"], "schema": header["schema"], "bytes": total}
    await ctx.units.complete_plan(lease, settled, chunks)
    reached("plan.after_commit")


def _check_size(spec: JobSpec, planned: list[dict[str, Any]]) -> None:
    total, most = sum(file["size"] for file in planned), spec.limits.max_bytes
    if most is not None and total > most:
        raise LimitExceeded(f"The source has {total:,} bytes; limits.max_bytes is {most:,}")
