"""The chunk unit: read its extents, fold them into partials, commit partials and ledger together.

A slot that has read a chunk may go on with other chunks of the job before it commits (`fold`).
"""

from collections.abc import Iterator
from dataclasses import replace as changed
from itertools import product

from msgspec.structs import replace

from shared.core.bad_rows import QuarantineRow
from shared.core.plan import ChunkPayload, ChunkStats, DatasetFile, columns_of
from shared.core.warnings import sorted_warnings, text_warning
from shared.db.partials import Partial
from shared.db.units import Done, Lease
from shared.errors import LeaseLost, SchemaWidened
from shared.fault_points import reached
from shared.spec.bind import bind
from shared.spec.provisional import provisional
from shared.spec.types import SIMPLE, STRING, Schema, parse_type
from shared.spec.uris import UPLOAD
from shared.spec.width import check_width
from shared.storage.sources import source_rules, upload_root
from worker_service.context import Context, Planned
from worker_service.executors.protocol import Answer, Child
from worker_service.messages import Access, ChunkResult, ChunkTask, decode_bad_rows
from worker_service.units.fold import Fold
from worker_service.units.persist import persist
from worker_service.units.watched import at_work, finished

PARTIAL_BYTES = 512 * 1024
"""Small against a merge unit's share of states: a partial that touches several merges is decoded by each.

Large against the fixed cost of a partial: with an eighth of it, encoding takes twice as long.
"""


async def run(ctx: Context, fold: Fold, job: Planned, child: Child) -> None:
    more = True
    while more:
        with at_work(fold.lease):
            more = await _one(ctx, fold, job, child)


async def _one(ctx: Context, fold: Fold, job: Planned, child: Child) -> bool:
    """Read the chunk of the lease, then have another join, or commit the fold.

    Returns whether one has joined.
    """
    task = await _task(ctx, fold, job)
    held = await _read(ctx, fold, job, task, child)
    if held and await fold.join():
        return True
    if held:
        await _read(ctx, fold, job, replace(task, files=(), extents=(), joined=True, hold=False), child)
    return False


async def _task(ctx: Context, fold: Fold, job: Planned) -> ChunkTask:
    lease = fold.lease
    assert isinstance(lease.payload, ChunkPayload)
    extents = lease.payload.extents
    uploads = upload_root(source_rules(ctx.settings), job.row.tenant)
    return ChunkTask(
        spec=job.spec_json,
        no=lease.no,
        schema=job.plan.schema,
        delimiter=job.plan.delimiter,
        self_describing=job.plan.self_describing,
        places=await _places(ctx, lease, job),
        files=tuple(_here(job.plan.files[extent.file], uploads) for extent in extents),
        extents=extents,
        access=Access.of(ctx.settings),
        batch_bytes=batch_bytes(ctx, lease),
        partial_bytes=PARTIAL_BYTES,
        joined=bool(fold.earlier),
        hold=fold.open and _others_may_join(lease, job),
    )


def _others_may_join(lease: Lease, job: Planned) -> bool:
    """Whether it is worth trying: as much input is left again, and the job's leases are not counted."""
    return 2 * lease.bytes <= job.plan.bytes and job.spec.options.max_parallel_chunks is None


def _here(file: DatasetFile, uploads: str) -> DatasetFile:
    """The file as this machine has it: a plan names the folder of uploads of the machine that made it."""
    return replace(file, root=uploads) if file.uri.startswith(UPLOAD) else file


async def _read(ctx: Context, fold: Fold, job: Planned, task: ChunkTask, child: Child) -> bool:
    """Run the task, and commit the fold unless the child holds its states; returns whether it does."""
    lease, most = fold.lease, job.spec.options.most_bad_rows
    try:
        async with child.run(task, fold.allowed) as answer:
            reached("chunk.computed")
            done = _report(answer.result, fold.done)
            if answer.result.held is not None:
                fold.hold(done, answer.result.held)
                return True
            await persist(
                ctx,
                lambda: ctx.partials.commit(
                    lease, done, _partials(answer), _bad_rows(answer), most, fold.earlier
                ),
            )
            finished(*fold.earlier, (lease, done))
    except SchemaWidened as widened:
        await _widen(ctx, lease, job, widened)
    return False


def _report(result: ChunkResult, before: Done | None) -> Done:
    """The report of a chunk; *before* is that which it had when its states were held."""
    known = before or Done()
    return Done(
        counts=known.counts + result.rows,
        rows_out=sum(partial.groups for partial in result.partials),
        stats=known.stats if result.stats == ChunkStats() else result.stats,
    )


async def _places(ctx: Context, lease: Lease, job: Planned) -> bool:
    """Whether the places of the chunk's provisional bad rows may be shown: no chunk before it has enough.

    A chunk before it that is done stays done, or this lease is lost.
    """
    if lease.no == 0 or not provisional(job.query, job.schema, self_describing=job.plan.self_describing):
        return True
    return not await ctx.units.told_before(lease)


def batch_bytes(ctx: Context, lease: Lease) -> int:
    """Half as much after each time that memory ran out."""
    return max(ctx.settings.batch_bytes >> lease.ooms, 1)


def _partials(answer: Answer[ChunkResult]) -> Iterator[Partial]:
    offset = 0
    for header in answer.result.partials:
        data = answer.body.read(offset, header.size)
        yield Partial(header.first_bucket, header.last_bucket, header.groups, data, header.decoded)
        offset += header.size


def _bad_rows(answer: Answer[ChunkResult]) -> Iterator[QuarantineRow]:
    offset = sum(header.size for header in answer.result.partials)
    for size in answer.result.pages:
        yield from decode_bad_rows(answer.body.read(offset, size))
        offset += size


async def _widen(ctx: Context, lease: Lease, job: Planned, widened: SchemaWidened) -> None:
    """Give undeclared columns wider types for the whole dataset.

    Every chunk of the job is read again with them.
    """
    needed = widened.widen
    wider = Schema(
        tuple(
            changed(f, type=parse_type(needed[f.name])) if f.name in needed else f for f in job.schema.fields
        )
    )
    if wider == job.schema:
        raise LeaseLost("The schema is already as wide as that")
    causes = dict.fromkeys(product(needed, SIMPLE), widened.detail)
    warnings = [
        text_warning(field.column, field.reads)
        for field, before in zip(wider.fields, job.schema.fields, strict=True)
        if field.type == STRING != before.type and field.reads
    ]
    query = bind(job.spec, wider, causes)
    check_width(list(query.result.values()))
    plan = replace(
        job.plan,
        schema=columns_of(wider),
        warnings=sorted_warnings((*job.plan.warnings, *warnings)),
    )
    await ctx.units.widen(lease, plan)
