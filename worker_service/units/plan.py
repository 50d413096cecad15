"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries, which are proven if its payload says so."""

import asyncio
from typing import Any

import msgspec

from shared.db.units import Lease, NewUnit
from shared.errors import LimitExceeded
from shared.fault_points import reached
from shared.settings import Settings
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import Schema, parse_result_type
from shared.spec.width import check_width
from worker_service.context import Context, Work
from worker_service.executor import Child
from worker_service.units import files, publish


class _Chunk(msgspec.Struct):
    """Of the child's answer; the extents are stored as they came."""

    extents: msgspec.Raw
    bytes: int


_CHUNK = msgspec.json.Decoder(_Chunk)


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
        _check_size(spec, ctx.settings, planned)
        async with child.run(request, descriptors, lease.allowed) as answer:
            header = answer.header
        files.check_unchanged(planned, descriptors)
    await _check_result(ctx, work, bind(spec, Schema.from_json(header["schema"])))
    chunks = (
        NewUnit(no=no, payload={"extents": chunk.extents, "guessed": header["guessed"]}, bytes=chunk.bytes)
        for no, chunk in enumerate(map(_CHUNK.decode, header["chunks"]))
    )
    total = sum(file["size"] for file in planned)
    reached("plan.before_insert")
    await ctx.units.complete_plan(lease, {"files": planned, "schema": header["schema"], "bytes": total}, chunks)
    reached("plan.after_commit")


async def _check_result(ctx: Context, work: Work, query: Query) -> None:
    """What would keep the result from being stored or published is found before the scan."""
    columns = publish.result_columns(query)
    check_width([parse_result_type(column["type"]) for column in columns])
    if work.result_name is not None:
        assert work.version is not None
        sums = {aggregate.name for aggregate in query.aggregates if aggregate.may_widen}
        await ctx.merging.check_columns(work.tenant, work.result_name, work.version, columns, sums)


def _check_size(spec: JobSpec, settings: Settings, planned: list[dict[str, Any]]) -> None:
    total, chosen = sum(file["size"] for file in planned), spec.limits.max_bytes
    most, whose = (settings.max_bytes, "GRISTMILL_MAX_BYTES") if chosen is None else (chosen, "limits.max_bytes")
    if total > most:
        raise LimitExceeded(f"The source has {total:,} bytes; {whose} is {most:,}")
