"""Heartbeat, sign-off and sweeper while something else is stuck: nothing is charged, nothing waits."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.core.timings import Timings
from shared.errors import DatabaseUnavailable
from worker_service.maintenance.heartbeat import Heartbeat
from worker_service.maintenance.sweeper import Sweeper, Swept

TIMINGS = Timings(grace=timedelta()).scaled(0.1)


def heartbeat(world, *, workers=None, units=None, timings=TIMINGS):
    """Of a worker that drains, and of which Postgres says that it holds a lease that no slot works on."""
    slots = SimpleNamespace(
        leases=set(),
        able=2,
        count=2,
        draining=True,
        stop_unwanted=lambda *_: 0,
        unheard=lambda *_: {(1, 1)},
    )
    return Heartbeat("w1", workers or world.workers, units or world.units, world.pool, slots, timings)


def sweeper(world):
    return Sweeper(world.jobs, world.units, world.advance, world.timings)


async def unit(world, lease):
    [row] = [row for row in await world.units_of(lease.job_id) if row["id"] == lease.id]
    return row["state"], row["deaths"] + row["crashes"] + row["errors"]


# fault matrix: 31
async def test_a_dead_connection_of_the_work_does_not_hold_up_the_heartbeat(world):
    async def never(*_):
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        with pytest.raises(DatabaseUnavailable):
            await heartbeat(world, units=SimpleNamespace(give_back_stray=never)).run_once()
    assert await world.value("SELECT count(*) FROM gristmill.workers WHERE id = 'w1'") == 1


# fault matrix: 31, 42
async def test_a_worker_whose_commit_was_cut_off_leaves_when_the_unit_is_free_and_is_charged_nothing(world):
    lease = await world.leased()
    timings = Timings(poll_idle=timedelta(milliseconds=10))
    beats = 0

    class Counted:
        leave = world.workers.leave

        async def beat(self, *words, **more):
            nonlocal beats
            beats += 1
            return await world.workers.beat(*words, **more)

    cut_off = await asyncpg.connect(world.url)
    await cut_off.execute("BEGIN")
    await cut_off.execute("SELECT FROM gristmill.units WHERE id = $1 FOR UPDATE", lease.id)
    leaving = asyncio.create_task(heartbeat(world, workers=Counted(), timings=timings).leave())
    while not leaving.done() and beats < 4:
        await asyncio.sleep(0)
    assert await world.value("SELECT count(*) FROM gristmill.workers WHERE id = 'w1'") == 1
    await cut_off.close()  # as Postgres itself does after a while
    await leaving

    assert await unit(world, lease) == ("pending", 0)
    assert await world.value("SELECT count(*) FROM gristmill.workers WHERE id = 'w1'") == 0


async def test_a_unit_past_its_deadline_stays_its_workers_until_the_sweeper_charges_it(world):
    lease = await world.leased()
    await world.value("UPDATE gristmill.units SET deadline_at = now() - interval '1 second' RETURNING 1")
    assert await world.beat() == {(lease.id, lease.attempt): True}, (
        "a unit that is taken back uncharged would be tried for ever"
    )

    assert await sweeper(world).run_once() == Swept(given_back=1)
    assert await unit(world, lease) == ("pending", 1)
    assert await world.beat() == {}, "which kills the child"


@pytest.mark.parametrize(
    ("column", "before", "cause", "code", "detail"),
    [
        (
            "deaths",
            4,
            "worker = 'gone'",
            "worker_lost",
            "plan 0 was given up: its worker died 5 times",
        ),
        (
            "crashes",
            2,
            "deadline_at = now() - interval '1 second'",
            "deadline_exceeded",
            "plan 0 never finished within its deadline",
        ),
    ],
)
async def test_a_unit_that_has_expired_too_often_fails_its_job_with_the_reason(
    world, column, before, cause, code, detail
):
    lease = await world.leased()
    await world.value(
        f"UPDATE gristmill.units SET {column} = $2, {cause} WHERE id = $1 RETURNING 1", lease.id, before
    )

    assert await sweeper(world).run_once() == Swept(failed=1)
    job = await world.jobs.get("default", lease.job_id)
    assert (job.state, job.error["code"], job.error["detail"]) == ("failed", code, detail)


async def test_a_job_whose_row_is_locked_is_swept_later_and_the_others_now(world, monkeypatch):
    stuck = [await cancelled_without_an_end(world) for _ in range(2)]
    finish = world.jobs.finish_ending

    async def held(*_):
        raise DatabaseUnavailable("another transaction holds a job's row")

    async def first_held(job_id):
        return await (held() if job_id == stuck[0] else finish(job_id))

    monkeypatch.setattr(world.jobs, "fail_overdue", held)
    monkeypatch.setattr(world.jobs, "finish_ending", first_held)
    with capture_logs() as logged:
        report = await sweeper(world).run_once()

    assert report == Swept(ended=1)
    assert [await world.state(job_id) for job_id in stuck] == ["cancelling", "cancelled"]
    assert [line["log_level"] for line in logged] == ["info"]


async def cancelled_without_an_end(world):
    """A job whose last unit's giving back was cut off before the job's end."""
    lease = await world.leased()
    await world.jobs.cancel("default", lease.job_id)
    await world.value(
        "UPDATE gristmill.units SET state = 'cancelled', finished_at = now(), deadline_at = NULL"
        " WHERE id = $1 RETURNING 1",
        lease.id,
    )
    return lease.job_id
