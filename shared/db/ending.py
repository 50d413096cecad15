"""The early end of a live job, cancelled or failed.

Its pending units end at once, the job itself when none of its units is leased any more.
"""

from shared.db.pool import Connection, Pool
from shared.db.result_tables import drop_table
from shared.db.statements import JOBS, UNITS
from shared.errors import Problem
from shared.fault_points import reached
from shared.metrics import job_ended


async def begin_ending(tx: Connection, job_id: str, *, error: Problem | None) -> None:
    """Begin the end of a live job whose row *tx* has locked: cancelled, or failed with *error*.

    Its pending units are cancelled.
    """
    await JOBS.set_ending.execute(tx, id=job_id, error=error)
    await UNITS.cancel_pending.execute(tx, job_id=job_id)


async def finish_ending(pool: Pool, job_id: str) -> bool:
    """End a job once none of its units is pending or leased, and drop its table.

    Its partials stay, for a retry. False if the job does not end now.
    """
    async with pool.transaction() as tx:
        await JOBS.lock.fetchrow(tx, id=job_id)
        ended = await JOBS.finish_ending.fetchrow(tx, id=job_id)
        if ended is None:
            return False
        # CASCADE drops a user's view of these rows, which no result shows: it must not keep the job from
        # ending.
        await tx.execute(drop_table(job_id) + " CASCADE")
        reached("end.before_commit")
    job_ended(*ended)
    return True
