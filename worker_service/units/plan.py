"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries, which are proven if its payload says so."""

from dataclasses import astuple

from shared.db.units import Lease, NewUnit
from shared.fault_points import reached
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import Schema
from shared.storage.sources import locate, own_folders
from worker_service.context import Context, Work
from worker_service.executor import Child
from worker_service.units.reading import reading


async def run(ctx: Context, lease: Lease, work: Work, child: Child) -> None:
    spec = JobSpec.model_validate(work.spec)
    locations = [locate(uri, f"#/source/uris/{no}", ctx.settings, work.tenant) for no, uri in enumerate(spec.source.uris)]
    request = {
        "task": "plan",
        "spec": work.spec,
        "locations": [astuple(location) for location in locations],
        "own_folders": own_folders(ctx.settings),
        "hidden": ctx.settings.allow_hidden_sources,
        "max_names": ctx.settings.max_listed_names,
        "chunk_bytes": spec.options.chunk_bytes or ctx.settings.chunk_bytes,
        "max_chunks": spec.limits.max_chunks,
        "prove": lease.payload.get("prove", False),
    }
    async with reading(child, request, list(spec.source.uris), lease.allowed) as answer:
        header = answer.header
    schema = Schema.from_json(header["schema"])
    bind(spec, schema)
    chunks = [
        NewUnit(no=no, payload={"extents": chunk["extents"], "guessed": header["guessed"]}, bytes=chunk["bytes"])
        for no, chunk in enumerate(header["chunks"])
    ]
    reached("plan.before_insert")
    settled = {name: header[name] for name in ("files", "format", "schema", "bytes", "warnings")}
    await ctx.units.complete_plan(lease, settled, chunks)
    reached("plan.after_commit")
