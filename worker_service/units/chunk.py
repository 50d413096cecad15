"""The chunk unit: read its extents, fold them into a partial, commit partial and ledger together."""

from shared.db.pool import Connection
from shared.db.units import Done, Lease
from shared.errors import LeaseLost, SchemaWidened
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import Field, Schema, parse_type
from worker_service.context import Context, Work
from worker_service.executor import Answer, Child
from worker_service.units import files
from worker_service.units.persist import persist

PIECE_BYTES = 64 * 1024
"""Small against a merge unit's share of states, so that a piece seldom belongs to several merges, which would all decode it."""


async def run(ctx: Context, lease: Lease, work: Work, child: Child) -> None:
    assert work.plan is not None
    extents = lease.payload["extents"]
    planned = [work.plan["files"][extent[0]] for extent in extents]
    request = {
        "task": "chunk",
        "no": lease.no,
        "spec": work.spec,
        "schema": work.plan["schema"],
        "uris": [file["uri"] for file in planned],
        "extents": extents,
        "batch_bytes": ctx.settings.batch_bytes,
        "piece_bytes": PIECE_BYTES,
    }
    try:
        async with files.planned(planned) as descriptors, child.run(request, descriptors, lease.allowed) as answer:
            files.check_unchanged(planned, descriptors)
            await _commit(ctx, lease, answer)
    except SchemaWidened as widened:
        await _widen(ctx, lease, work, widened.widen)


async def _commit(ctx: Context, lease: Lease, answer: Answer) -> None:
    header = answer.header

    async def write(tx: Connection) -> None:
        offset = 0
        for piece, (first, last, groups, size) in enumerate(header["pieces"]):
            await ctx.merging.save_partial(tx, lease, piece, first, last, groups, answer.body(offset, size))
            offset += size

    groups = sum(piece[2] for piece in header["pieces"])
    done = Done(rows_read=header["rows_read"], rows_dropped=header["rows_dropped"], rows_out=groups)
    await persist(ctx, lambda: ctx.units.complete(lease, done, write))


async def _widen(ctx: Context, lease: Lease, work: Work, needed: dict[str, str]) -> None:
    """Give undeclared columns wider types for the whole dataset; every chunk of the job is read again with them."""
    assert work.plan is not None
    schema = Schema.from_json(work.plan["schema"])
    wider = Schema(tuple(Field(f.name, parse_type(needed[f.name]), f.declared) if f.name in needed else f for f in schema.fields))
    if wider == schema:
        raise LeaseLost("The schema is already as wide as that")
    bind(JobSpec.model_validate(work.spec), wider)
    await ctx.units.widen(lease, {**work.plan, "schema": wider.to_json()})
