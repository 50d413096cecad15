"""Fan-in: the step of a job to its next phase, once every unit of the one before is done."""

from shared.core.fan_in import PARTIAL_COST_BYTES, SLOT_BYTES, StateSizes, merge_payloads, publish_payload
from shared.core.lifecycle import JobState, Phase, UnitKind
from shared.db import quarantine
from shared.db.pool import Connection, Pool, Record
from shared.db.publishing import create_table
from shared.db.statements import JOBS, PARTIALS, QUARANTINE, UNITS
from shared.db.units import NewUnit, insert_units
from shared.errors import BadRow, StateTooLarge, from_problem
from shared.fault_points import reached


class FanInStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def unfinished(self, job_id: str) -> bool:
        """A look without a lock: only the last unit of a phase, and the sweeper, get past it."""
        async with self._pool.connection() as connection:
            return bool(await UNITS.unfinished.fetchval(connection, job_id=job_id))

    async def advance(
        self,
        job_id: str,
        columns: list[dict[str, str]],
        max_state_bytes: int,
        indexes: int = 0,
        most_bad_rows: int | None = 0,
        *,
        lists: bool = False,
        slot_bytes: int = SLOT_BYTES,
    ) -> bool:
        """Move the job to its next phase, once, whichever worker asks; True if units were made.

        *columns* are those of the result, *indexes* counts those that it is to have beside its own. *lists*:
        the states hold lists of values. Raises StateTooLarge, TooManyColumns, and TooManyBadRows for more
        than *most_bad_rows*; None: any number. *slot_bytes* is the memory of a slot.
        Also raises the provisional error of a chunk, now that no type can change.
        """
        async with self._pool.transaction() as tx:
            job = await JOBS.lock.fetchrow(tx, id=job_id)
            if (
                job is None
                or job["state"] != JobState.RUNNING
                or not await UNITS.all_done.fetchval(tx, job_id=job_id)
            ):
                return False
            match job["phase"]:
                case Phase.SCANNING:
                    await _finish_bad_rows(tx, job_id, most_bad_rows)
                    await _begin_merging(tx, job, columns, max_state_bytes, slot_bytes, lists=lists)
                case Phase.MERGING:
                    await _begin_publishing(tx, job, indexes)
                case _:
                    return False
            reached("fan_in.inside")
        return True

    async def charge(self, job_id: str) -> int:
        """Count an unexpected error of the step; 0 if the job does not run any more."""
        async with self._pool.connection() as connection:
            return int(await JOBS.charge_fan_in.fetchval(connection, id=job_id) or 0)


async def _finish_bad_rows(tx: Connection, job_id: str, most: int | None) -> None:
    """Every chunk is done: types are final, and the lines of the bad rows are known, and how many there are.

    Raises TooManyBadRows, or an error that was provisional.
    """
    error = await UNITS.provisional_error.fetchval(tx, job_id=job_id, bad_row=BadRow.code)
    if error is not None and error["code"] == BadRow.code:
        raise from_problem(error)
    if found := await quarantine.count(tx, job_id, final=True):
        await QUARANTINE.set_lines.execute(tx, job_id=job_id)
        await quarantine.check(tx, job_id, found, most)
    if error is not None:
        raise from_problem(error)


async def _begin_merging(
    tx: Connection,
    job: Record,
    columns: list[dict[str, str]],
    max_state_bytes: int,
    slot_bytes: int,
    *,
    lists: bool,
) -> None:
    sizes = await PARTIALS.sizes.fetch(tx, job_id=job["id"], cost=PARTIAL_COST_BYTES)
    size = sum(row["size"] for row in sizes)
    if size > max_state_bytes:
        raise StateTooLarge(f"The states take {size:,} bytes; limits.max_state_bytes is {max_state_bytes:,}")
    await create_table(tx, job["id"], columns)
    begun, ended = ({row["bucket"]: row[column] for row in sizes} for column in ("begun", "ended"))
    states = StateSizes(size, sum(row["decoded"] for row in sizes), lists)
    payloads = merge_payloads(states, begun, ended, slot_bytes)
    units = [NewUnit(no=no, payload=payload, bytes=read) for no, (payload, read) in enumerate(payloads)]
    await insert_units(tx, job["id"], UnitKind.MERGE, job["epoch"], units)
    await JOBS.set_phase.execute(tx, id=job["id"], phase=Phase.MERGING)


async def _begin_publishing(tx: Connection, job: Record, indexes: int) -> None:
    [written] = await UNITS.to_publish.fetch(tx, job_id=job["id"])
    payload, read = publish_payload(written["rows"], written["bytes"], indexes)
    unit = NewUnit(no=0, payload=payload, bytes=read)
    await insert_units(tx, job["id"], UnitKind.PUBLISH, job["epoch"], [unit])
    await JOBS.set_phase.execute(tx, id=job["id"], phase=Phase.PUBLISHING)
