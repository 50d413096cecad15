"""The merge unit: combine the states of one range of buckets, in chunk order, and copy the finished rows."""

from collections.abc import AsyncIterator

from msgspec.structs import replace

from shared.core.plan import MergePayload
from shared.core.row_counts import RowCounts
from shared.db.pool import Connection
from shared.db.publishing import ColumnsWidened
from shared.db.shapes import explained
from shared.db.units import Done, Lease
from shared.fault_points import reached
from worker_service.context import Context, Planned
from worker_service.executors.protocol import Answer, Blob, Child
from worker_service.messages import AttachedPartial, MergeResult, MergeTask
from worker_service.units.persist import persist
from worker_service.units.watched import finished

COPY_BYTES = 512 * 1024
"""asyncpg sends COPY data in messages of this size."""


async def run(ctx: Context, lease: Lease, job: Planned, child: Child) -> None:
    async with explained(ctx.pool, lease, job.query.result):
        await _merge(ctx, lease, job, child)


async def _merge(ctx: Context, lease: Lease, job: Planned, child: Child) -> None:
    assert isinstance(lease.payload, MergePayload)
    first, end = lease.payload.first, lease.payload.end
    with child.attachment() as attachment:
        attached = []
        async for data, inside in ctx.partials.of_buckets(lease.job_id, first, end):
            attachment.write(data)
            attached.append(AttachedPartial(len(data), inside))
        sums = [aggregate.name for aggregate in job.query.aggregates if aggregate.may_widen]
        task = MergeTask(
            spec=job.spec_json,
            schema=job.plan.schema,
            partials=tuple(attached),
            first=first,
            end=end,
            as_csv=bool(sums) and await ctx.publishing.any_widened(lease.job_id, sums),
        )
        try:
            async with child.run(task, lease.allowed, attachment) as answer:
                await _commit(ctx, lease, job, answer)
        except ColumnsWidened:
            # Just now. Postgres reads the text of an integer as the numeric that its column is.
            async with child.run(replace(task, as_csv=True), lease.allowed, attachment) as answer:
                await _commit(ctx, lease, job, answer)


async def _commit(ctx: Context, lease: Lease, job: Planned, answer: Answer[MergeResult]) -> None:
    columns, result = list(job.query.result), answer.result

    async def write(tx: Connection) -> None:
        if result.rows:
            if not result.as_csv:
                widened = result.stats.widened
                narrow = [a.name for a in job.query.aggregates if a.may_widen and a.name not in widened]
                await ctx.publishing.hold_columns(tx, lease.job_id, narrow)
            await ctx.publishing.copy(
                tx, lease.job_id, columns, _slices(answer.body), binary=not result.as_csv
            )
        reached("merge.before_commit")

    done = Done(counts=RowCounts(aggregated=result.rows_aggregated), rows_out=result.rows, stats=result.stats)
    await persist(ctx, lambda: ctx.publishing.widen_columns(lease.job_id, list(result.stats.widened)))
    await persist(ctx, lambda: ctx.units.complete(lease, done, write))
    finished((lease, done))
    reached("merge.after_commit")


async def _slices(body: Blob) -> AsyncIterator[bytes]:
    size = body.size
    for start in range(0, size, COPY_BYTES):
        yield body.read(start, min(COPY_BYTES, size - start))
        reached("merge.mid_copy")
