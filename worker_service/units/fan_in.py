"""Fan-in: the step of a job to its next phase, once every unit of a phase is done."""

import structlog

from shared.core.lifecycle import JobState
from shared.core.retry import FAN_IN_LIMIT
from shared.errors import FatalError, InternalError, Interruption, TransientError, UsageError
from worker_service.context import Context
from worker_service.units import publish

log = structlog.get_logger()


async def advance(ctx: Context, job_id: str) -> bool:
    """Make the units of the next phase, if nothing of this one is left; whether it did.

    Called after each commit, and by the sweeper for a worker that died between the two. An unexpected error
    is counted in the job's row, whichever worker meets it; in the end it fails the job.
    """
    if await ctx.fan_in.unfinished(job_id):
        return False
    row = await ctx.jobs.work(job_id)
    if row is None or row.plan is None or row.state != JobState.RUNNING:
        return False
    try:
        job = ctx.planned_from(row)
        columns = publish.result_columns(job.query)
        return await ctx.fan_in.advance(
            job_id,
            columns,
            job.spec.limits.max_state_bytes,
            len(job.spec.output.indexes),
            job.spec.options.most_bad_rows,
            lists=job.query.keeps_lists,
            slot_bytes=ctx.settings.slot_memory_bytes,
        )
    except (FatalError, UsageError) as error:
        await ctx.jobs.fail(job_id, error.problem())
    except (TransientError, Interruption):
        raise
    except Exception as error:
        log.exception("fan_in.bug", job=job_id)
        tries = await ctx.fan_in.charge(job_id)
        if tries >= FAN_IN_LIMIT:
            why = InternalError(f"The step after {row.phase} failed {tries} times: {str(error)[:200]}")
            await ctx.jobs.fail(job_id, why.problem())
    return False
