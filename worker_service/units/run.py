"""Runs one leased unit, whatever its kind: the error that ends it decides what becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from shared.core.lifecycle import UnitKind
from shared.core.plan import ChunkPayload, PlanPayload, schema_of
from shared.core.retry import Charge, backoff, may_try_again
from shared.db.units import Lease
from shared.errors import (
    ChildCrashed,
    CorruptFile,
    CutsRefuted,
    DatabaseUnavailable,
    DeadlineExceeded,
    FatalError,
    GristmillError,
    InternalError,
    Interruption,
    LeaseLost,
    OutOfMemory,
    Preempted,
    ReaderCrashed,
    ResultLocked,
    RetriesExhausted,
    SourceChanged,
    StorageUnavailable,
    TransientError,
    UsageError,
)
from shared.fault_points import reached
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from worker_service.context import Context
from worker_service.executor import Child, ChildDied
from worker_service.units import chunk, merge, plan, publish
from worker_service.units.persist import persist

CHARGES: tuple[tuple[type[GristmillError], Charge], ...] = (
    (Preempted, Charge.PREEMPTION),
    (Interruption, Charge.NOTHING),
    (DatabaseUnavailable, Charge.NOTHING),  # an outage, or a reader's lock, charges nobody
    (ResultLocked, Charge.NOTHING),
    (OutOfMemory, Charge.MEMORY),
    (ChildCrashed, Charge.CRASH),
    (DeadlineExceeded, Charge.CRASH),
    (TransientError, Charge.ERROR),
)
"""What a failure is counted as; the first that fits. A failure that is not here is final."""

log = structlog.get_logger()


async def run_unit(ctx: Context, lease: Lease, child: Child) -> timedelta | None:
    """Run the unit to its commit, or settle what ended it: answers with the time after which it may be tried again, None if never."""
    try:
        await _do(ctx, lease, child)
    except asyncio.CancelledError:
        await _settle(ctx, lambda: ctx.units.give_back(lease, Charge.NOTHING))
        raise
    except Exception as error:  # noqa: BLE001  # whatever ended it, the unit must not stay leased
        return await _after(ctx, lease, _named(lease, error))
    return None


async def _do(ctx: Context, lease: Lease, child: Child) -> None:
    work = await ctx.work(lease)
    match lease.kind:
        case UnitKind.PLAN:
            await plan.run(ctx, lease, work, child)
        case UnitKind.CHUNK:
            await chunk.run(ctx, lease, work, child)
        case UnitKind.MERGE:
            await merge.run(ctx, lease, work, child)
        case UnitKind.PUBLISH:
            await publish.run(ctx, lease, work)


async def advance(ctx: Context, job_id: str) -> bool:
    """Fan-in after a unit's commit; the sweeper does the same for a worker that died between the two."""
    if await ctx.fan_in.unfinished(job_id):
        return False
    row = await ctx.jobs.work(job_id)
    if row.plan is None or row.state != "running":
        return False
    try:
        spec = JobSpec.model_validate(row.spec)
        columns = publish.result_columns(bind(spec, schema_of(row.plan.schema)))
        return await ctx.fan_in.advance(
            job_id, columns, spec.limits.max_state_bytes, len(spec.output.indexes)
        )
    except (FatalError, UsageError) as error:
        await ctx.jobs.fail(job_id, error.problem())
    except (TransientError, Interruption):
        raise
    except Exception as error:
        log.exception("fan_in.bug", job=job_id)
        if (tries := await ctx.fan_in.charge(job_id)) and not may_try_again("error", tries - 1):
            why = InternalError(f"The step after {row.phase} failed {tries} times: {str(error)[:200]}")
            await ctx.jobs.fail(job_id, why.problem())
    return False


async def ring(ctx: Context) -> bool:
    """The dispatcher's pass: mark the units that are due, then ring for them.

    False if Redis takes no message: then nothing counts as rung.
    """
    queued = await ctx.doorbell.turn(ctx.timings.dispatch)
    if queued is None:
        return False
    try:
        due = await ctx.units.due(queued)
    except TransientError:
        await ctx.doorbell.give_up_turn()  # others may reach Postgres
        raise
    if due:
        reached("dispatch.marked")
        await ctx.doorbell.ring(due)
    return True


def _named(lease: Lease, error: Exception) -> GristmillError:
    """The error in this project's words."""
    unit = f"{lease.kind} {lease.no}"
    if isinstance(error, GristmillError):
        return error
    if isinstance(error, ChildDied):
        return ChildCrashed(f"{error} while it ran {unit}")
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(f"{unit} took longer than {lease.allowed}; lower options.chunk_bytes")
    if isinstance(error, OSError):
        return StorageUnavailable(
            f"The worker's machine did not let {unit} go on: {(error.strerror or str(error)).lower()}"
        )
    log.error("unit.bug", unit=lease.id, exc_info=error)
    return InternalError("A bug in Gristmill; the worker's log has the stack trace")


async def _after(ctx: Context, lease: Lease, error: GristmillError) -> timedelta | None:
    charge = next((charge for kind, charge in CHARGES if isinstance(error, kind)), None)
    before = {"memory": lease.ooms, "crash": lease.crashes, "error": lease.errors}.get(
        charge or "", lease.attempt - 1
    )
    final = charge is None or not may_try_again(_limit(lease, error, charge), before)
    of_data = charge in {None, "memory"} and not isinstance(error, SourceChanged)
    guessed = isinstance(lease.payload, ChunkPayload) and lease.payload.guessed
    if isinstance(error, CutsRefuted) or (final and of_data and guessed):
        return await _plan_again(ctx, lease, error)
    if final or charge is None:
        await _fail(ctx, lease, _final(ctx, lease, error))
        return None
    if isinstance(error, Preempted):
        delay = ctx.timings.heartbeat  # the tenant that waits has its slot by then
    else:
        delay = timedelta() if isinstance(error, Interruption) else backoff(before, ctx.timings)
    log.warning(
        "unit.again",
        unit=lease.id,
        kind=lease.kind,
        no=lease.no,
        job=lease.job_id,
        charge=charge,
        error=error.detail,
    )
    await _settle(ctx, lambda: ctx.units.give_back(lease, charge, delay=delay, problem=error.problem()))
    return delay


def _limit(lease: Lease, error: GristmillError, charge: Charge) -> str:
    """Which of the limits of retrying counts for what is charged."""
    if isinstance(error, ReaderCrashed):
        return "crash of a reader"
    return "memory at once" if charge == "memory" and lease.kind != "chunk" else charge


def _final(ctx: Context, lease: Lease, error: GristmillError) -> GristmillError:
    """What the job's owner reads, when it is not tried again."""
    if isinstance(error, TransientError):
        return RetriesExhausted(f"Gave up after many tries: {error.detail}")
    if isinstance(error, ReaderCrashed):
        cause = "A file crashed its reader twice, so it is most likely damaged; write it anew"
        return CorruptFile(f"{cause}. {error.detail}")
    if isinstance(error, OutOfMemory):
        limit, batch = ctx.settings.slot_memory_bytes, chunk.batch_bytes(ctx, lease)
        tried = f", even with batches of {batch:,} bytes" if lease.kind == "chunk" else ""
        cure = "raise GRISTMILL_SLOT_MEMORY_BYTES, or make fewer or smaller groups"
        return OutOfMemory(
            f"{lease.kind} {lease.no} needs more memory than the {limit:,} bytes of a slot{tried}: {cure}"
        )
    return error


async def _plan_again(ctx: Context, lease: Lease, error: GristmillError) -> timedelta | None:
    """No job fails by a guess: its cuts may be wrong, or its schema, so it begins anew with a plan that is proven."""
    log.warning(
        "job.planned_again", unit=lease.id, no=lease.no, job=lease.job_id, code=error.code, error=error.detail
    )
    try:
        await _settle(ctx, lambda: ctx.units.plan_again(lease, PlanPayload(prove=True)))
    except (LeaseLost, TransientError) as other:
        return await _after(ctx, lease, other)
    return None


async def _settle(ctx: Context, change: Callable[[], Awaitable[None]]) -> None:
    await asyncio.shield(persist(ctx, change))


async def _fail(ctx: Context, lease: Lease, error: GristmillError) -> None:
    log.warning(
        "unit.failed",
        unit=lease.id,
        kind=lease.kind,
        no=lease.no,
        job=lease.job_id,
        code=error.code,
        error=error.detail,
    )
    await _settle(ctx, lambda: ctx.units.fail(lease, error.problem()))
