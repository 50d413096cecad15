"""The SQL makes every step of the tables in shared.core.lifecycle.

A trigger in each test's database checks that it makes no other (tests.support.transitions).
"""

import asyncpg
import pytest

from shared.core.lifecycle import BEFORE, JOB, UNIT
from shared.errors import AlreadyDone, InvalidState, LeaseLost, NotFound, RetryExpired
from tests.support.store import PLAN, PROBLEM, WIDER, chunks

RECORD = """
CREATE TABLE checks.seen (kind text, source text, target text);
CREATE FUNCTION checks.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checks.seen VALUES (TG_TABLE_NAME, OLD.state, NEW.state);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE ON gristmill.jobs FOR EACH ROW WHEN (OLD.state <> NEW.state)
EXECUTE FUNCTION checks.note();
CREATE TRIGGER note AFTER UPDATE ON gristmill.units FOR EACH ROW WHEN (OLD.state <> NEW.state)
EXECUTE FUNCTION checks.note();
"""
WRITES = """
CREATE TABLE checks.writes (id bigint);
CREATE FUNCTION checks.count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checks.writes VALUES (OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER count AFTER UPDATE ON gristmill.units FOR EACH ROW EXECUTE FUNCTION checks.count();
"""


async def pause_and_resume(world, job_id):
    before = await world.state(job_id)
    await world.jobs.pause("default", job_id)
    assert await world.state(job_id) == "paused"
    await world.jobs.resume("default", job_id)
    assert await world.state(job_id) == before


async def queued_jobs_end(world):
    job, _ = await world.submit()
    await pause_and_resume(world, job.id)
    await world.jobs.cancel("default", job.id)
    assert await world.state(job.id) == "cancelled"
    await world.jobs.retry("default", job.id)
    assert await world.state(job.id) == "queued"
    await world.jobs.fail(job.id, PROBLEM)
    await world.jobs.retry("default", job.id)
    assert await world.state(job.id) == "queued"


async def running_jobs_end(world):
    job_id = await world.planned(2)
    await pause_and_resume(world, job_id)
    await world.commit(await world.claimed(job_id=job_id))
    second = await world.claimed(job_id=job_id)
    await world.units.give_back(second, "nothing")
    second = await world.claimed(job_id=job_id)
    await world.units.widen(second, WIDER)
    first, second = await world.claimed(job_id=job_id), await world.claimed(job_id=job_id)
    await world.units.fail(first, PROBLEM)
    await world.units.give_back(second, "nothing")
    await world.jobs.retry("default", job_id)
    assert await world.state(job_id) == "running"
    await world.jobs.cancel("default", job_id)
    await world.jobs.retry("default", job_id)
    assert await world.state(job_id) == "running"
    await world.finish(job_id)


async def paused_jobs_end(world):
    job_id = await world.planned(1)
    await world.commit(await world.claimed(job_id=job_id))
    await world.advance(job_id)
    await world.commit(await world.claimed(job_id=job_id))
    await world.advance(job_id)
    publish = await world.claimed(job_id=job_id)
    await world.jobs.pause("default", job_id)
    await world.commit(publish)
    assert await world.state(job_id) == "succeeded"

    job, _ = await world.submit()
    await world.jobs.pause("default", job.id)
    await world.jobs.cancel("default", job.id)


async def test_every_step_of_the_tables_is_made(world):
    async with world.pool.connection() as connection:
        await connection.execute(RECORD)
    for story in (queued_jobs_end, running_jobs_end, paused_jobs_end):
        await story(world)

    async with world.pool.connection() as connection:
        seen = {tuple(row) for row in await connection.fetch("SELECT * FROM checks.seen")}
    tables = {"jobs": JOB, "units": UNIT}
    assert seen == {
        (kind, s.source, s.target) for kind, table in tables.items() for s in table if s.source != BEFORE
    }


async def test_a_step_that_the_table_does_not_have_is_refused_in_every_test(world):
    job_id = await world.planned(1)

    with pytest.raises(asyncpg.RaiseError, match="the lifecycle of units has no done --> leased"):
        await world.value(
            "UPDATE gristmill.units SET state = 'leased', deadline_at = now()"
            " WHERE job_id = $1 AND kind = 'plan'",
            job_id,
        )


# --- pause and resume ---------------------------------------------------------------------------------------


async def test_no_unit_of_a_paused_job_is_claimed_or_rung(world):
    job_id = await world.planned(2)
    await world.jobs.pause("default", job_id)

    assert await world.units.claim_of_job("w1", job_id) is None
    assert await world.units.claim_fairest("w1") is None
    assert await world.units.due() == []

    await world.jobs.resume("default", job_id)
    assert len(await world.units.due()) == 2


async def test_what_is_leased_when_its_job_is_paused_may_finish_and_the_fan_in_waits(world):
    plan = await world.leased()
    await world.jobs.pause("default", plan.job_id)
    assert await world.beat() == {(plan.id, plan.attempt): True}, "it is still wanted"
    await world.units.complete_plan(plan, PLAN, chunks(1))
    await world.jobs.resume("default", plan.job_id)
    chunk = await world.claimed(job_id=plan.job_id)
    await world.jobs.pause("default", plan.job_id)
    await world.commit(chunk)

    assert await world.states(plan.job_id) == ["done"]
    assert await world.advance(plan.job_id) is False
    assert await world.jobs.stalled() == []

    await world.jobs.resume("default", plan.job_id)
    assert await world.jobs.stalled() == [plan.job_id]
    assert await world.advance(plan.job_id) is True


async def test_a_unit_that_is_given_back_to_a_paused_job_waits(world):
    chunk = await world.leased()
    await world.jobs.pause("default", chunk.job_id)
    await world.units.give_back(chunk, "nothing")

    assert await world.states(chunk.job_id, "plan") == ["pending"]
    assert await world.units.claim_of_job("w1", chunk.job_id) is None


async def test_pausing_twice_and_resuming_twice_changes_nothing_more(world):
    job, _ = await world.submit()
    for change in (world.jobs.pause, world.jobs.resume):
        assert await change("default", job.id) is True
        first = await world.jobs.get("default", job.id)
        assert await change("default", job.id) is False
        assert await world.jobs.get("default", job.id) == first


@pytest.mark.parametrize("change", ["pause", "resume", "cancel", "retry"])
async def test_no_tenant_changes_a_job_of_another(world, change):
    job, _ = await world.submit()

    with pytest.raises(NotFound):
        await getattr(world.jobs, change)("other", job.id)
    assert await world.jobs.get("default", job.id) == job


@pytest.mark.parametrize(
    ("state", "change", "error"),
    [
        ("succeeded", "pause", AlreadyDone),
        ("succeeded", "resume", AlreadyDone),
        ("succeeded", "retry", AlreadyDone),
        ("failed", "pause", AlreadyDone),
        ("cancelled", "resume", AlreadyDone),
        ("queued", "retry", InvalidState),
        ("paused", "retry", InvalidState),
        ("cancelling", "pause", InvalidState),
        ("cancelling", "resume", InvalidState),
        ("cancelling", "retry", InvalidState),
    ],
)
async def test_what_does_not_fit_a_jobs_state_is_refused(world, state, change, error):
    lease = await world.leased()
    async with world.pool.transaction() as tx:
        await tx.execute("SET LOCAL gristmill.unchecked = 'on'")
        ended = "now()" if error is AlreadyDone else "NULL"
        await tx.execute(
            f"UPDATE gristmill.jobs SET state = $1, finished_at = {ended} WHERE id = $2", state, lease.job_id
        )

    with pytest.raises(error, match=state):
        await getattr(world.jobs, change)("default", lease.job_id)
    assert await world.state(lease.job_id) == state


# --- retry --------------------------------------------------------------------------------------------------


async def failed_chunk(world):
    """A job of three chunks: the first is done, the second failed after a crash, the third was cancelled."""
    job_id = await world.planned(3, name="sales")
    await world.commit(await world.claimed(job_id=job_id))
    lease = await world.claimed(job_id=job_id)
    await world.units.give_back(lease, "crash")
    await world.units.fail(await world.claimed(job_id=job_id), PROBLEM)
    assert await world.states(job_id) == ["done", "failed", "cancelled"]
    return job_id


async def test_a_retry_keeps_what_is_finished_and_begins_the_rest_with_fresh_counts(world):
    job_id = await failed_chunk(world)
    before = await world.jobs.get("default", job_id)
    await world.jobs.retry("default", job_id)
    after = await world.jobs.get("default", job_id)

    assert await world.states(job_id) == ["done", "pending", "pending"]
    assert {u["crashes"] for u in await world.units_of(job_id)} == {0}
    assert (before.state, after.state, after.error, after.finished_at, after.version) == (
        "failed",
        "running",
        None,
        None,
        before.version,
    )
    await world.finish(job_id)
    assert await world.state(job_id) == "succeeded"
    assert (
        await world.value("SELECT max(attempt) FROM gristmill.units WHERE no = 1 AND kind = 'chunk'") == 3
    ), "attempts never fall"


async def test_a_retry_writes_each_unit_once(world):
    job_id = await failed_chunk(world)
    async with world.pool.connection() as connection:
        await connection.execute(WRITES)
    await world.jobs.retry("default", job_id)

    units = await world.units_of(job_id)
    async with world.pool.connection() as connection:
        written = [row["id"] for row in await connection.fetch("SELECT id FROM checks.writes ORDER BY id")]
    assert written == [unit["id"] for unit in units]
    assert {unit["epoch"] for unit in units} == {2}


@pytest.mark.parametrize("phase", ["merging", "publishing"])
async def test_a_job_that_failed_after_its_scan_merges_again_from_the_start(world, phase):
    job_id = await world.planned(1)
    await world.commit(await world.claimed(job_id=job_id))
    await world.advance(job_id)
    if phase == "publishing":
        await world.commit(await world.claimed(job_id=job_id))
        await world.advance(job_id)
    await world.units.fail(await world.claimed(job_id=job_id), PROBLEM)
    assert (await world.jobs.get("default", job_id)).phase == phase

    await world.jobs.retry("default", job_id)

    job = await world.jobs.get("default", job_id)
    assert (job.phase, job.scanned_at, job.merged_at) == ("scanning", None, None)
    assert await world.states(job_id) == ["done"]
    assert await world.states(job_id, "merge") == await world.states(job_id, "publish") == []
    await world.finish(job_id)
    assert await world.state(job_id) == "succeeded"


async def test_a_retry_fences_off_every_worker_that_held_a_unit_before(world):
    job_id = await world.planned(2)
    zombie, other = await world.claimed(job_id=job_id), await world.claimed(job_id=job_id)
    await world.units.give_back(zombie, "death")
    await world.units.fail(other, PROBLEM)
    await world.jobs.retry("default", job_id)

    with pytest.raises(LeaseLost):
        await world.commit(zombie)
    with pytest.raises(LeaseLost):
        await world.units.widen(other, WIDER)


async def test_a_job_whose_partials_are_gone_is_not_retried(world):
    job_id = await failed_chunk(world)
    await world.value("DELETE FROM gristmill.partials WHERE job_id = $1 RETURNING 1", job_id)

    with pytest.raises(RetryExpired):
        await world.jobs.retry("default", job_id)
    assert await world.state(job_id) == "failed"


async def test_a_job_whose_source_changed_is_not_retried_whatever_its_phase(world):
    changed = PROBLEM | {"code": "source_changed"}
    planned = await world.planned(1)
    await world.units.fail(await world.claimed(job_id=planned), changed)
    planning = await world.leased()
    await world.units.fail(planning, changed)

    for job_id in (planned, planning.job_id):
        with pytest.raises(RetryExpired):
            await world.jobs.retry("default", job_id)
