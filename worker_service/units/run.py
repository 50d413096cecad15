"""Runs one leased unit of any kind, or a fold of chunks, and settles its end."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

from shared import tracing
from shared.core.lifecycle import UnitKind
from shared.core.plan import ChunkPayload, PlanPayload
from shared.core.retry import Cause, Charge, Fail, GiveBack, PlanAgain, cause_of, decide
from shared.db.units import Lease
from shared.errors import (
    ChildCrashed,
    CorruptFile,
    DeadlineExceeded,
    GristmillError,
    InternalError,
    LeaseLost,
    OutOfMemory,
    Preempted,
    RetriesExhausted,
    StorageUnavailable,
    TransientError,
)
from worker_service.context import Context, Unplanned
from worker_service.executors.protocol import Child, ChildDied
from worker_service.units import chunk, merge, plan, publish
from worker_service.units.fold import Claim, Fold, no_more
from worker_service.units.persist import persist
from worker_service.units.watched import about, at_work, given_back, given_up

Job = TypeVar("Job", bound=Unplanned)
_T = TypeVar("_T")
log = structlog.get_logger()


async def run_unit(ctx: Context, lease: Lease, child: Child, claim: Claim = no_more) -> timedelta | None:
    """Run the unit to its commit, or settle the error that ended it. A chunk takes others along by *claim*.

    Returns the time after which the unit may be claimed again; None if it was not given back.
    """
    fold = Fold(lease, claim, ctx.timings)
    bind_contextvars(**about(lease))
    tracing.follow(None)  # its job is not read yet
    try:
        await _do(ctx, fold, child)
    except asyncio.CancelledError:
        await asyncio.shield(_give_back(ctx, fold.leases))
        raise
    except Exception as error:  # noqa: BLE001  # after any error the unit must not stay leased
        return await _void(ctx, fold, _named(fold.lease, error))
    finally:
        clear_contextvars()
    return None


async def _give_back(ctx: Context, leases: list[Lease]) -> None:
    """A unit that is done already stays done: it may be stopped while it tidies up after its commit."""
    for lease in leases:
        if await persist(ctx, partial(ctx.units.give_back, lease, Charge.NOTHING)):
            given_back(lease, Cause.INTERRUPTED)


async def _void(ctx: Context, fold: Fold, error: GristmillError) -> timedelta | None:
    """The error is that of the unit at work. Chunks that were read before go back uncharged.

    A preemption counts for all: each of them has made room.
    """
    again = await settle(ctx, fold.lease, error)
    for lease, _ in fold.earlier:
        await settle(ctx, lease, error if isinstance(error, Preempted) else LeaseLost("Its fold has ended"))
    return again


async def _do(ctx: Context, fold: Fold, child: Child) -> None:
    lease = fold.lease
    if lease.kind is UnitKind.PLAN:
        unplanned = _followed(await ctx.unplanned(lease))
        with at_work(lease):
            await plan.run(ctx, lease, unplanned, child)
        return
    job = _followed(await ctx.planned(lease))
    if lease.kind is UnitKind.CHUNK:
        await chunk.run(ctx, fold, job, child)
        return
    with at_work(lease):
        if lease.kind is UnitKind.MERGE:
            await merge.run(ctx, lease, job, child)
        else:
            await publish.run(ctx, lease, job)


def _followed(job: Job) -> Job:
    """The job, whose trace the log lines and spans now belong to."""
    tracing.follow(job.row.traceparent)
    return job


def _named(lease: Lease, error: Exception) -> GristmillError:
    """The error as one of shared.errors, so that it has a cause."""
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
    log.error("unit.bug", **about(lease), exc_info=error)
    return InternalError("A bug in Gristmill; the worker's log has the stack trace")


async def settle(ctx: Context, lease: Lease, error: GristmillError) -> timedelta | None:
    """Give the unit back, plan its job again or fail both, as `shared.core.retry` decides.

    Returns the time after which the unit may be claimed again; None if it was not given back.
    """
    cause = cause_of(error)
    guessed = isinstance(lease.payload, ChunkPayload) and lease.payload.guessed
    match decide(lease.kind, lease.counts, cause, ctx.timings, guessed=guessed):
        case GiveBack(charge, delay):
            log.warning("unit.again", **about(lease), charge=charge, error=error.detail)
            if await _commit(
                ctx, lambda: ctx.units.give_back(lease, charge, delay=delay, problem=error.problem())
            ):
                given_back(lease, cause)
            return delay
        case PlanAgain():
            log.warning("job.planned_again", **about(lease), code=error.code, error=error.detail)
            try:
                await _commit(ctx, lambda: ctx.units.plan_again(lease, PlanPayload(prove=True)))
                given_up(lease, "planned_again")
            except (LeaseLost, TransientError) as other:
                return await settle(ctx, lease, other)
        case Fail():
            final = _final(ctx, lease, cause, error)
            log.warning("unit.failed", **about(lease), code=final.code, error=final.detail)
            await _commit(ctx, lambda: ctx.units.fail(lease, final.problem()))
            given_up(lease, "failed")
    return None


def _final(ctx: Context, lease: Lease, cause: Cause, error: GristmillError) -> GristmillError:
    """The error that the job's owner reads, when there is no further try."""
    match cause:
        case Cause.TRANSIENT_ERROR:
            return RetriesExhausted(f"Gave up after many tries: {error.detail}")
        case Cause.READER_CRASHED:
            damaged = "A file crashed its reader twice, so it is most likely damaged; write it anew"
            return CorruptFile(f"{damaged}. {error.detail}")
        case Cause.OUT_OF_MEMORY:
            limit, batch = ctx.settings.slot_memory_bytes, chunk.batch_bytes(ctx, lease)
            tried = f", even with batches of {batch:,} bytes" if lease.kind is UnitKind.CHUNK else ""
            cure = "raise GRISTMILL_SLOT_MEMORY_BYTES, or make fewer or smaller groups"
            return OutOfMemory(
                f"{lease.kind} {lease.no} needs more memory than the {limit:,} bytes of a slot{tried}: {cure}"
            )
        case _:
            return error


async def _commit(ctx: Context, change: Callable[[], Awaitable[_T]]) -> _T:
    """Shielded: a second cancellation must not leave the unit leased."""
    return await asyncio.shield(persist(ctx, change))
