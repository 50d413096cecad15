"""options.deadline: a job that has not ended by then fails, and says so."""

from datetime import timedelta

import pytest


@pytest.mark.parametrize("paused", [False, True])
async def test_a_job_past_its_deadline_fails_and_names_it(world, paused):
    lease = await world.leased(deadline="15m")
    job = await world.jobs.get("default", lease.job_id)
    assert job.deadline_at - job.created_at == timedelta(minutes=15)
    if paused:
        await world.jobs.pause("default", job.id)
    await world.jobs.fail_overdue()
    assert await world.state(job.id) == ("paused" if paused else "running")

    await world.value("UPDATE gristmill.jobs SET deadline_at = now() RETURNING 1")
    await world.jobs.fail_overdue()

    assert await world.state(job.id) == "cancelling"
    assert await world.beat() == {(lease.id, lease.attempt): False}, (
        "its worker hears that the unit is no longer wanted"
    )
    await world.units.give_back(lease, "nothing")
    job = await world.jobs.get("default", job.id)
    assert (job.state, job.error["code"]) == ("failed", "deadline_exceeded")
    assert "options.deadline of 15m" in job.error["detail"]


async def test_a_deadline_counts_anew_from_a_retry(world):
    job, _ = await world.submit(deadline="1h")
    await world.value("UPDATE gristmill.jobs SET deadline_at = now() RETURNING 1")
    await world.jobs.fail_overdue()
    assert await world.state(job.id) == "failed"

    await world.jobs.retry("default", job.id)
    await world.jobs.fail_overdue()

    assert await world.state(job.id) == "queued"
    assert await world.value("SELECT deadline_at - now() FROM gristmill.jobs") > timedelta(minutes=59)


async def test_a_retry_knows_the_deadline_of_a_job_that_a_gateway_of_before_has_submitted(world):
    job, _ = await world.submit(deadline="1h")
    await world.value("UPDATE gristmill.jobs SET deadline = NULL RETURNING 1")
    for _ in range(2):
        await world.value(
            "UPDATE gristmill.jobs SET created_at = created_at - interval '1 day',"
            " deadline_at = deadline_at - interval '1 day' RETURNING 1"
        )
        await world.jobs.cancel("default", job.id)
        await world.jobs.retry("default", job.id)

    left = await world.value("SELECT deadline_at - now() FROM gristmill.jobs")
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_a_job_that_has_ended_has_no_deadline_any_more(world):
    job_id = await world.planned(1, deadline="1h")
    await world.finish(job_id)
    await world.value("UPDATE gristmill.jobs SET deadline_at = now() RETURNING 1")
    await world.jobs.fail_overdue()

    assert await world.state(job_id) == "succeeded"


async def test_a_job_that_another_session_holds_does_not_keep_the_others_from_their_end(world):
    held, other = [(await world.submit(deadline="1h"))[0].id for _ in range(2)]
    await world.value("UPDATE gristmill.jobs SET deadline_at = now() RETURNING 1")
    async with world.pool.transaction() as tx:
        await tx.execute("SELECT FROM gristmill.jobs WHERE id = $1 FOR UPDATE", held)
        await world.jobs.fail_overdue()

    assert (await world.state(held), await world.state(other)) == ("queued", "failed")
    await world.jobs.fail_overdue()
    assert await world.state(held) == "failed"
