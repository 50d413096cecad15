"""Merges and publishes whose table is gone: deleted since, or dropped by hand."""

import pytest
from structlog.testing import capture_logs

from shared.core.retry import Charge
from shared.db.deleting import DeleteStore
from shared.db.verify import violations
from shared.errors import NotMigrated
from tests.support.inline import InlineChild, planned_job
from worker_service.units import publish
from worker_service.units.fan_in import advance
from worker_service.units.run import run_unit

TYPES = {"k": "int64", "v": "int64"}
LARGE = 2**62
SAID = "SELECT error ->> 'code', error ->> 'detail' FROM gristmill.jobs WHERE id = $1"
ROWS = "SELECT array_agg((k, sum_v) ORDER BY k)::text FROM gristmill_results.{}"
TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = 'gristmill_results'::regnamespace"


@pytest.fixture
def file(tmp_path):
    """The sum of key 1 fits in no int64."""
    path = tmp_path / "t.csv"
    path.write_text(f"k,v\n1,{LARGE}\n1,{LARGE}\n2,7\n")
    return path


def spec(file, name="gone", **output):
    return {
        "source": {"uris": [f"file://{file}"], "types": TYPES},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
        "output": {"name": name, **output} if name else {},
    }


class Running:
    """A job, and the worker w1 that runs its units as a slot does."""

    def __init__(self, world, ctx, job_id):
        self.world, self.ctx, self.job_id = world, ctx, job_id
        self.said = []

    async def claim(self):
        return await self.world.claimed(job_id=self.job_id)

    async def run(self, lease):
        with capture_logs() as said:
            await run_unit(self.ctx, lease, InlineChild())
        self.said = [line["error"] for line in said if "error" in line]

    async def until(self, kind):
        """Run all before the unit of *kind*, which is leased then."""
        while (lease := await self.claim()).kind != kind:
            await self.run(lease)
            await advance(self.ctx, self.job_id)
        return lease

    async def given_to_another(self, lease):
        """A lease that its worker lost while it was frozen; another attempt ends the job."""
        await self.world.units.give_back(lease, Charge.DEATH)
        await self.run(await self.claim())
        assert await self.state() == "succeeded"

    async def state(self):
        return await self.world.state(self.job_id)

    async def query(self, sql, *args):
        async with self.world.pool.connection() as connection:
            return await connection.fetch(sql, *args)


@pytest.fixture
async def job(world, file):
    return await begun(world, file, spec(file))


async def begun(world, file, asked):
    return Running(world, *await planned_job(world, asked, [file], TYPES, 1 << 20))


async def nothing_left(job):
    """Assert that there is no table, and that `verify` finds nothing."""
    assert await violations(job.world.pool) == []
    assert await job.world.value(TABLES) == 0


async def test_a_publish_that_comes_after_its_result_was_deleted_ends_quietly(world, job):
    """Its worker was frozen, and another one has published the result meanwhile."""
    frozen = await job.until("publish")
    await job.given_to_another(frozen)
    assert await DeleteStore(world.pool).result("default", "gone") == [job.job_id]
    before = await world.units_of(job.job_id)

    await job.run(frozen)

    assert job.said == [f"Job {job.job_id} no longer wants this publish"]
    assert (await job.state(), await world.units_of(job.job_id)) == ("succeeded", before)
    await nothing_left(job)


async def test_a_publish_that_is_repeated_after_its_own_commit_stays_done(world, job):
    lease = await job.until("publish")
    await job.run(lease)
    assert await DeleteStore(world.pool).result("default", "gone") == [job.job_id]

    await job.run(lease)

    assert (await job.state(), job.said) == ("succeeded", [])
    await nothing_left(job)


@pytest.mark.parametrize("forgets", [False, True], ids=["spec known", "spec forgotten"])
async def test_a_publish_that_comes_after_its_job_was_deleted_ends_quietly(world, file, forgets):
    job = await begun(world, file, spec(file, None))
    frozen = await job.until("publish")
    await job.given_to_another(frozen)
    assert await DeleteStore(world.pool).job("default", job.job_id)
    if forgets:
        job.ctx._planned.clear()

    await job.run(frozen)

    gone = f"Job {job.job_id} was deleted" if forgets else f"Job {job.job_id} no longer wants this publish"
    assert job.said == [gone]
    assert not await advance(job.ctx, job.job_id)
    await nothing_left(job)


async def test_a_merge_that_comes_after_its_job_has_ended_widens_no_table(world, job):
    frozen = await job.until("merge")
    await world.units.give_back(frozen, Charge.DEATH)
    assert await world.jobs.cancel("default", job.job_id)
    assert await job.state() == "cancelled"

    await job.run(frozen)

    assert job.said == [f"Job {job.job_id} no longer wants this merge"]
    await nothing_left(job)


CHANGES = {
    "DROP TABLE gristmill_results.{}": "it was dropped or renamed",
    "ALTER TABLE gristmill_results.{} DROP COLUMN k": "its column 'k' was dropped",
    "ALTER TABLE gristmill_results.{} RENAME sum_v TO s": "its column 'sum_v' is now named 's'",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["merge", "publish"])
async def test_a_table_that_is_changed_by_hand_before_it_is_published_fails_its_job_and_a_retry_makes_another(
    world, job, kind, change
):
    lease = await job.until(kind)
    await job.query(change.format(job.job_id))

    await job.run(lease)

    [(code, detail)] = await job.query(SAID, job.job_id)
    assert (await job.state(), code) == ("failed", "result_changed")
    assert f"The table gristmill_results.{job.job_id} was changed before it was published: " in detail
    assert CHANGES[change] in detail
    await nothing_left(job)

    await world.jobs.retry("default", job.job_id)
    await advance(job.ctx, job.job_id)  # as a sweeper does
    await job.run(await job.until("publish"))
    assert await job.state() == "succeeded"
    assert await world.value(ROWS.format(job.job_id)) == f'{{"(1,{2 * LARGE})","(2,7)"}}'


async def test_a_schema_that_is_not_migrated_is_called_so(job):
    lease = await job.until("publish")
    await job.query("ALTER TABLE gristmill.versions RENAME key_columns TO keys")

    with pytest.raises(NotMigrated):
        await publish.run(job.ctx, lease, await job.ctx.planned(lease))


async def test_other_columns_replace_a_view_that_was_dropped_by_hand(world, job, file):
    await job.run(await job.until("publish"))
    await job.query("DROP VIEW results.gone")
    asked = spec(file, on_schema_change="replace") | {"aggregates": [{"fn": "count"}]}
    other = await begun(world, file, asked)

    await other.run(await other.until("publish"))

    assert (await other.state(), other.said) == ("succeeded", [])
    shown = await other.query("SELECT k, count FROM results.gone ORDER BY k")
    assert [tuple(row) for row in shown] == [(1, 2), (2, 1)]
