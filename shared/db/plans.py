"""The plans table: the findings of dry runs, and the plans that jobs begin with."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from shared.core.entities import Job
from shared.core.lifecycle import JobState, Phase
from shared.core.look import Look
from shared.core.plan import Plan
from shared.db.pool import Connection, Pool
from shared.db.records import read_row
from shared.db.statements import PLANS
from shared.errors import PlanExpired

_STORED_PLAN = msgspec.json.Decoder(Plan)
_TEXTS = msgspec.json.Decoder(tuple[msgspec.Raw, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """*job* is its row. *look* are its findings, None while it is under way or if it failed.

    *source_only*: its spec has no aggregates. *expired*: it is kept no longer.
    """

    job: Job
    look: Look | None
    source_only: bool
    expired: bool


class PlanStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, tenant: str, plan_id: str, kept: timedelta) -> DryRun | None:
        """A dry run; it is expired *kept* after its end."""
        async with self._pool.connection() as connection:
            row = await PLANS.get.fetchrow(connection, tenant=tenant, id=plan_id, kept=kept)
        if row is None:
            return None
        return DryRun(
            job=read_row(Job, row, state=JobState(row["state"]), phase=Phase(row["phase"]), plan=None),
            look=msgspec.convert(row["look"], Look | None),
            source_only=row["kind"] == "look",
            expired=bool(row["expired"]),
        )

    async def delete(self, tenant: str, plan_id: str) -> bool:
        """Delete a dry run, also one under way; False if the tenant has none of this id."""
        async with self._pool.connection() as connection:
            return await PLANS.delete_run.fetchval(connection, tenant=tenant, id=plan_id) is not None

    async def stored(self, job_id: str) -> tuple[Plan, tuple[msgspec.Raw, ...] | None] | None:
        """The plan that a job begins with, and the texts of its chunks; None: it has to cut the files."""
        async with self._pool.connection() as connection:
            row = await PLANS.stored.fetchrow(connection, job_id=job_id)
        if row is None:
            return None
        chunks = _TEXTS.decode(row["chunks"]) if row["chunks"] is not None else None
        return _STORED_PLAN.decode(row["plan"]), chunks

    async def recent(self, format_: str) -> list[tuple[int, float]]:
        """Bytes and seconds of the newest jobs of a format that have succeeded lately."""
        async with self._pool.connection() as connection:
            rows = await PLANS.recent.fetch(connection, format=format_)
        return [(row["bytes"], row["seconds"]) for row in rows]


async def copy_plan(tx: Connection, tenant: str, plan_id: str, job_id: str, state_version: int) -> None:
    """Give a new job the plan of a dry run. Raises PlanExpired."""
    copied = await PLANS.copy.fetchval(
        tx, tenant=tenant, plan=plan_id, job_id=job_id, state_version=state_version
    )
    if copied is None:
        raise PlanExpired(f"{plan_id} was deleted, or made by another version; make a new plan")
