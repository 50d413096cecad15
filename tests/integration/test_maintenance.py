"""The heartbeat, the leaving and the sweeper while something else is stuck: nobody is charged for it, and nobody else waits."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.core.timings import Timings
from shared.errors import DatabaseUnavailable
from worker_service.maintenance.heartbeat import beat, leave
from worker_service.maintenance.sweeper import Sweeper

TIMINGS = Timings(grace=timedelta()).scaled(0.1)


def context(world, **changes):
    known = {
        "units": world.units,
        "pool": world.pool,
        "worker_id": "w1",
        "timings": TIMINGS,
        "draining": True,
    }
    return SimpleNamespace(**known | {"executor": SimpleNamespace(slots=2)} | changes)


async def unit(world, lease):
    [row] = [row for row in await world.units_of(lease.job_id) if row["id"] == lease.id]
    return row["state"], row["deaths"] + row["crashes"] + row["errors"]


# fault matrix: 31
async def test_a_dead_connection_of_the_work_does_not_hold_up_the_heartbeat(world):
    async def never(*_):
        await asyncio.Event().wait()

    runner = SimpleNamespace(leases=set(), able=2, stop_lost=lambda *_: None, strays=lambda *_: {(1, 1)})
    async with asyncio.timeout(30):
        with pytest.raises(DatabaseUnavailable):
            await beat(context(world, units=SimpleNamespace(give_back_stray=never)), runner, world.workers)
    assert await world.value("SELECT count(*) FROM gristmill.workers WHERE id = 'w1'") == 1


# fault matrix: 31, 42
async def test_a_worker_whose_commit_was_cut_off_leaves_when_the_unit_is_free_and_is_charged_nothing(world):
    lease = await world.leased()
    ctx = context(world, timings=Timings(poll_idle=timedelta(milliseconds=10)))
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
    leaving = asyncio.create_task(leave(ctx, Counted()))
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
        "whom it is taken from uncharged tries again for ever"
    )

    await Sweeper(SimpleNamespace(timings=world.timings, units=world.units, jobs=world.jobs)).run_once()

    assert await unit(world, lease) == ("pending", 1)
    assert await world.beat() == {}, "which kills the child"


async def test_a_job_that_somebody_holds_is_swept_later_and_the_others_now(world, monkeypatch):
    stuck = [await cancelled_without_an_end(world) for _ in range(2)]
    finish = world.jobs.finish_ending

    async def held(*_):
        raise DatabaseUnavailable("somebody holds a job's row")

    async def first_held(job_id):
        return await (held() if job_id == stuck[0] else finish(job_id))

    monkeypatch.setattr(world.jobs, "fail_overdue", held)
    monkeypatch.setattr(world.jobs, "finish_ending", first_held)
    with capture_logs() as logged:
        await Sweeper(SimpleNamespace(timings=world.timings, units=world.units, jobs=world.jobs)).run_once()

    assert [await world.state(job_id) for job_id in stuck] == ["cancelling", "cancelled"]
    assert [line["log_level"] for line in logged] == ["info"]


async def cancelled_without_an_end(world):
    """A job whose last unit's giving back was cut off before the job's end."""
    lease = await world.leased()
    await world.jobs.cancel("default", lease.job_id)
    await world.value(
        "UPDATE gristmill.units SET state = 'cancelled', finished_at = now(), deadline_at = NULL WHERE id = $1 RETURNING 1",
        lease.id,
    )
    return lease.job_id
