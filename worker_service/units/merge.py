"""The merge unit: combine the states of one range of buckets, in chunk order, and copy the finished rows."""

import base64
import os
from collections.abc import AsyncIterator, Iterable

import msgspec

from shared.core.plan import MergePayload, MergeStats, schema_of
from shared.core.row_counts import RowCounts
from shared.db.pool import Connection
from shared.db.units import Done, Lease
from shared.fault_points import reached
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from worker_service.child import wire
from worker_service.context import Context, Work
from worker_service.executor import Answer, Child
from worker_service.units.persist import persist

COPY_BYTES = 512 * 1024
"""asyncpg sends COPY data in messages of this size."""


async def run(ctx: Context, lease: Lease, work: Work, child: Child) -> None:
    assert work.plan is not None
    assert isinstance(lease.payload, MergePayload)
    first, end = lease.payload.first, lease.payload.end
    pieces = wire.memory_file("pieces")
    try:
        found = []
        async for data, inside in ctx.partials.of_buckets(lease.job_id, first, end):
            wire.write_all(pieces, data)
            found.append([len(data), inside])
        request = {
            "task": "merge",
            "spec": work.spec,
            "schema": msgspec.to_builtins(work.plan.schema),
            "pieces": found,
            "first": first,
            "end": end,
        }
        async with child.run(request, [pieces], lease.allowed) as answer:
            await _commit(ctx, lease, work, answer)
    finally:
        os.close(pieces)


async def _commit(ctx: Context, lease: Lease, work: Work, answer: Answer) -> None:
    assert work.plan is not None
    query = bind(JobSpec.model_validate(work.spec), schema_of(work.plan.schema))
    columns = [*(key.name for key in query.keys), *(aggregate.name for aggregate in query.aggregates)]
    header = answer.header

    async def write(tx: Connection) -> None:
        if header["rows"]:
            await ctx.publishing.copy(tx, lease.job_id, columns, _slices(answer))
        reached("merge.before_commit")

    done = Done(
        counts=RowCounts(aggregated=header["rows_aggregated"]),
        rows_out=header["rows"],
        stats=MergeStats(
            widened=tuple(header["widened"]),
            buckets={int(bucket): base64.b64decode(text) for bucket, text in header["buckets"].items()},
        ),
    )
    await persist(ctx, lambda: ctx.publishing.widen_columns(lease.job_id, header["widened"]))
    await persist(ctx, lambda: ctx.units.complete(lease, done, write))
    reached("merge.after_commit")


async def _slices(answer: Answer) -> AsyncIterator[bytes]:
    for start in range(0, answer.body_size, COPY_BYTES):
        yield answer.body(start, min(COPY_BYTES, answer.body_size - start))
        reached("merge.mid_copy")


def merged_digests(stats: Iterable[MergeStats]) -> dict[int, bytes]:
    """The SHA-256 of every non-empty bucket, from the stats of a job's merge units."""
    return {bucket: digest for one in stats for bucket, digest in one.buckets.items()}
