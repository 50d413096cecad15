"""Runs one leased unit, whatever its kind: the error that ends it decides what becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.core.retry import Counts, backoff, may_crash_again, may_err_again
from shared.db.units import Charge, Lease
from shared.errors import (
    ChildCrashed,
    DatabaseUnavailable,
    DeadlineExceeded,
    FatalError,
    GristmillError,
    InternalError,
    Interruption,
    ResultLocked,
    RetriesExhausted,
    TransientError,
    UsageError,
)
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import Schema
from worker_service.context import Context
from worker_service.executor import Child, ChildDied
from worker_service.units import chunk, merge, plan, publish
from worker_service.units.persist import persist

log = structlog.get_logger()


async def run_unit(ctx: Context, lease: Lease, child: Child) -> None:
    """Run the unit to its commit, or settle what ended it."""
    try:
        await _do(ctx, lease, child)
    except asyncio.CancelledError:
        await _settle(ctx, lambda: ctx.units.give_back(lease, "nothing"))
        raise
    except Interruption as error:
        log.info("unit.interrupted", unit=lease.id, reason=error.detail)
        await _settle(ctx, lambda: ctx.units.give_back(lease, "nothing"))
    except (FatalError, UsageError) as error:
        await _fail(ctx, lease, error)
    except TransientError as error:
        await _after_transient(ctx, lease, error)
    except ChildDied as error:
        died = ChildCrashed(f"{error} while it ran {lease.kind} {lease.no}")
        await (_again if may_crash_again(_counts(lease)) else _fail)(ctx, lease, died)
    except TimeoutError:
        late = DeadlineExceeded(f"{lease.kind} {lease.no} took longer than {lease.allowed}; lower options.chunk_bytes")
        await (_again if may_crash_again(_counts(lease)) else _fail)(ctx, lease, late)
    except Exception:
        log.exception("unit.bug", unit=lease.id)
        await _fail(ctx, lease, InternalError("A bug in Gristmill; the worker's log has the stack trace"))


async def _do(ctx: Context, lease: Lease, child: Child) -> None:
    work = await ctx.work(lease)
    match lease.kind:
        case "plan":
            await plan.run(ctx, lease, work, child)
        case "chunk":
            await chunk.run(ctx, lease, work, child)
        case "merge":
            await merge.run(ctx, lease, work, child)
        case "publish":
            await publish.run(ctx, lease, work)


async def advance(ctx: Context, job_id: str) -> bool:
    """Fan-in after a unit's commit; the sweeper does the same for a worker that died between the two."""
    if await ctx.merging.unfinished(job_id):
        return False
    row = await ctx.units.work(job_id)
    if row["plan"] is None or row["state"] != "running":
        return False
    spec = JobSpec.model_validate(row["spec"])
    columns = publish.result_columns(bind(spec, Schema.from_json(row["plan"]["schema"])))
    try:
        return await ctx.merging.advance(job_id, columns, spec.limits.max_state_bytes)
    except FatalError as error:
        await ctx.jobs.fail(job_id, error.problem())
        return False


async def ring(ctx: Context) -> None:
    """The dispatcher's pass: mark the units that are due, then ring for them."""
    if due := await ctx.units.due():
        await ctx.doorbell.ring(due)


async def _after_transient(ctx: Context, lease: Lease, error: TransientError) -> None:
    if isinstance(error, DatabaseUnavailable | ResultLocked):  # an outage, or a reader's lock, charges nobody
        await _settle(ctx, lambda: ctx.units.give_back(lease, "nothing", delay=ctx.timings.retry_first, problem=error.problem()))
    elif may_err_again(_counts(lease)):
        await _again(ctx, lease, error, "error")
    else:
        await _fail(ctx, lease, RetriesExhausted(f"Gave up after many tries: {error.detail}"))


def _counts(lease: Lease) -> Counts:
    return Counts(lease.deaths, lease.crashes, lease.errors)


async def _settle(ctx: Context, change: Callable[[], Awaitable[None]]) -> None:
    await asyncio.shield(persist(ctx, change))


async def _again(ctx: Context, lease: Lease, error: GristmillError, charge: Charge = "crash") -> None:
    delay = backoff(lease.errors if charge == "error" else lease.crashes, ctx.timings)
    log.warning("unit.again", unit=lease.id, kind=lease.kind, no=lease.no, job=lease.job_id, charge=charge, error=error.detail)
    await _settle(ctx, lambda: ctx.units.give_back(lease, charge, delay=delay, problem=error.problem()))


async def _fail(ctx: Context, lease: Lease, error: GristmillError) -> None:
    log.warning("unit.failed", unit=lease.id, kind=lease.kind, no=lease.no, job=lease.job_id, code=error.code, error=error.detail)
    await _settle(ctx, lambda: ctx.units.fail(lease, error.problem()))
