"""Two of everything at once, on real Postgres: each unit counts once and each job ends once."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace

import asyncpg
import pytest

from shared.core.timings import Timings
from shared.db.statements import Statements
from shared.db.units import Done
from shared.errors import AlreadyDone, DatabaseUnavailable, LeaseLost
from tests.support.store import World
from worker_service.maintenance.sweeper import Sweeper
from worker_service.units.persist import persist

ROUNDS = 10


def sweeper(world, url, timings=None, clock=time.time):
    """A sweeper of a worker process of its own."""
    other = World(url)
    return Sweeper(other.jobs, other.units, other.advance, timings or world.timings, clock), other


# fault matrix: 37
async def test_two_dispatchers_at_once_ring_for_a_window_once(world):
    await world.beat(slots=8)
    for _ in range(20):
        await world.submit()

    for _ in range(3 * ROUNDS):
        passes = await asyncio.gather(*(world.units.due() for _ in range(6)))

        rung = [unit for one in passes for unit in one]
        assert len(rung) == len(set(rung)) == 8, "one for each slot, and none of them twice"
        assert {number for _, number in rung} == {1}
        await world.value("UPDATE gristmill.units SET rung_at = NULL, rings = 0 RETURNING 1")


# fault matrix: 37
async def test_two_sweepers_at_once_charge_a_death_once(world, database_url):
    leases = [await world.leased("dead") for _ in range(ROUNDS)]
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' RETURNING 1")
    (one, first), (two, second) = sweeper(world, database_url), sweeper(world, database_url)

    await asyncio.gather(one.run_once(), two.run_once(), *(world.units.due() for _ in range(4)))

    units = [unit for lease in leases for unit in await world.units_of(lease.job_id)]
    assert [(unit["state"], unit["deaths"]) for unit in units] == [("pending", 1)] * ROUNDS
    await asyncio.gather(first.pool.close(), second.pool.close())


# fault matrix: 22
async def test_a_worker_that_froze_in_its_commit_does_not_hold_up_the_sweeper(world, database_url):
    frozen, dead = await world.leased("dead"), await world.leased("dead")
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' RETURNING 1")
    sweeping, other = sweeper(world, database_url)
    async with world.units.fenced(frozen) as tx:
        await world.units.mark_done(tx, frozen, Done())
        await sweeping.run_once()

        assert (await world.states(frozen.job_id, "plan"), await world.states(dead.job_id, "plan")) == (
            ["leased"],
            ["pending"],
        )
    await other.pool.close()


# fault matrix: 38
async def test_the_last_two_chunks_commit_at_the_same_moment_and_the_fan_in_happens_once(world):
    for _ in range(ROUNDS):
        job_id = await world.planned(2)
        both_open = asyncio.Barrier(2)

        async def last(lease, meet, job_id=job_id):
            async def wait(_tx):
                await meet.wait()

            await world.commit(lease, wait)
            return await world.advance(job_id)

        leases = [await world.claimed(job_id=job_id) for _ in range(2)]
        fanned_in = await asyncio.gather(*(last(lease, both_open) for lease in leases))

        assert sorted(fanned_in) == [False, True]
        assert await world.states(job_id, "merge") == ["pending"]


async def ready_to_publish(world):
    job_id = await world.planned(1)
    for _ in range(2):
        await world.commit(await world.claimed(job_id=job_id))
        await world.advance(job_id)
    return await world.claimed(job_id=job_id)


async def in_turn(first, second):
    await first()
    await second()


# fault matrix: 41
async def test_a_cancel_that_races_with_the_publishing_leaves_one_end(world):
    ends = set()
    for no in range(ROUNDS):
        publish = await ready_to_publish(world)

        async def cancel(job_id=publish.job_id):
            with suppress(AlreadyDone):
                await world.jobs.cancel("default", job_id)

        async def commit(lease=publish):
            with suppress(LeaseLost):
                await world.commit(lease)

        await (
            asyncio.gather(cancel(), commit())
            if no > 1
            else in_turn(cancel, commit)
            if no
            else in_turn(commit, cancel)
        )
        await world.units.give_back(publish, "nothing")
        state = await world.state(publish.job_id)
        shown = await world.value("SELECT count(*) FROM gristmill.versions WHERE job_id = $1", publish.job_id)
        assert (state, shown) in {("succeeded", 1), ("cancelled", 0)}
        ends.add(state)

    assert ends == {"succeeded", "cancelled"}


# fault matrix: 41
@pytest.mark.parametrize("commits_first", [False, True])
async def test_a_cancel_that_races_with_a_chunks_commit_leaves_one_end(world, commits_first):
    job_id = await world.planned(2)
    lease = await world.claimed(job_id=job_id)
    cancelled = []

    async def cancel(_tx):
        await world.jobs.cancel("default", job_id)
        cancelled.append(await world.state(job_id))

    if commits_first:
        await world.commit(lease)
        await cancel(None)
    else:
        await world.commit(lease, cancel)
        await world.jobs.finish_ending(job_id)

    assert cancelled == ["cancelled" if commits_first else "cancelling"]
    assert await world.state(job_id) == "cancelled"
    assert await world.states(job_id) == ["done", "cancelled"]


# fault matrix: 41
async def test_a_job_that_is_cancelled_while_its_last_chunk_fans_in_ends_once(world):
    for _ in range(ROUNDS):
        job_id = await world.planned(1)
        await world.commit(await world.claimed(job_id=job_id))
        await asyncio.gather(
            world.jobs.cancel("default", job_id), world.advance(job_id), world.jobs.finish_ending(job_id)
        )
        await world.jobs.finish_ending(job_id)

        assert await world.state(job_id) == "cancelled"
        assert set(await world.states(job_id, "merge")) <= {"cancelled"}


# --- Postgres asks to try again -----------------------------------------------------------------------------

INJECT = """
CREATE SEQUENCE checks.faults;
CREATE FUNCTION checks.fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('checks.faults') <= 2 THEN
        RAISE EXCEPTION 'injected' USING ERRCODE = '{code}';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fault AFTER UPDATE ON gristmill.units FOR EACH ROW
WHEN (NEW.state = 'done' AND NEW.kind = '{kind}')
EXECUTE FUNCTION checks.fault();
"""


# fault matrix: 36
@pytest.mark.parametrize("code", ["40P01", "40001"])
@pytest.mark.parametrize("kind", ["chunk", "publish"])
async def test_a_commit_that_postgres_takes_back_is_tried_again_and_counts_once(world, code, kind):
    async with world.pool.connection() as connection:
        await connection.execute(INJECT.format(code=code, kind=kind))
    lease = (
        await ready_to_publish(world)
        if kind == "publish"
        else await world.claimed(job_id=await world.planned(1))
    )
    ctx = SimpleNamespace(timings=world.timings.scaled(0.01))
    tries = []

    async def commit():
        tries.append(1)
        await world.commit(lease)

    with pytest.raises(DatabaseUnavailable):
        await world.commit(lease)
    await persist(ctx, commit)

    assert len(tries) == 2
    assert await world.value("SELECT count(*) FROM gristmill.partials") == 1
    assert await world.states(lease.job_id, kind) == ["done"]


# fault matrix: 36
async def test_a_fan_in_that_postgres_takes_back_is_made_by_the_sweeper(world):
    job_id = await world.planned(1)
    await world.commit(await world.claimed(job_id=job_id))
    async with world.pool.connection() as connection:
        await connection.execute(
            INJECT.format(code="40P01", kind="chunk")
            .replace("UPDATE", "INSERT")
            .replace("'done'", "'pending'")
            .replace("'chunk'", "'merge'")
        )
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await world.advance(job_id)

    assert await world.jobs.stalled() == [job_id]
    assert await world.advance(job_id)


# --- clocks -------------------------------------------------------------------------------------------------


# fault matrix: 44
async def test_no_statement_takes_a_point_in_time_so_a_workers_clock_decides_nothing(database_url):
    """The processes send periods; each moment is Postgres' own now(). A list may be asked for by time."""
    connection = await asyncpg.connect(database_url)
    kinds = {}
    for table in ("jobs", "units", "workers", "partials"):
        for name, statement in Statements(table).by_name.items():
            prepared = await connection.prepare(statement.sql)
            kinds[table, name] = {kind.name for kind in prepared.get_parameters()}
    await connection.close()

    assert "interval" in kinds["units", "claim_fairest"] & kinds["units", "expired"]
    assert [
        name
        for name, types in kinds.items()
        if types & {"timestamptz", "timestamp", "date", "time", "timetz"}
        and name not in {("jobs", "newest"), ("jobs", "matching")}
    ] == []


# fault matrix: 44
@pytest.mark.parametrize("step", [-600, 600])
async def test_a_sweepers_clock_that_steps_makes_it_wait_for_the_grace_and_expires_nothing_early(
    world, database_url, step
):
    lease = await world.leased("dead")
    clock = SimpleNamespace(at=1_000_000.0)
    sweeping, other = sweeper(world, database_url, Timings(), lambda: clock.at)

    async def sweep(seconds):
        for _ in range(seconds):
            clock.at += 1
            await sweeping.run_once()
        return await world.states(lease.job_id, "plan")

    assert await sweep(12) == ["leased"], "its worker is seen"
    clock.at += step
    assert await sweep(2) == ["leased"]
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' RETURNING 1")
    assert await sweep(7) == ["leased"], "the clock has stepped: that could have been a sleep"
    assert await sweep(4) == ["pending"]
    await other.pool.close()


async def test_a_unit_of_a_job_that_ended_is_given_back_by_a_worker_that_never_heard_of_it(world):
    stray = await world.leased()
    await world.jobs.cancel("default", stray.job_id)
    assert await world.beat() == {(stray.id, stray.attempt): False}, "still ours, though no longer wanted"

    await world.units.give_back_stray(stray.id, stray.attempt, stray.worker)

    assert await world.state(stray.job_id) == "cancelled"


async def test_a_claim_waits_for_no_lock(world):
    job_id = await world.planned(2)
    queued, _ = await world.submit()
    async with world.pool.transaction() as tx:
        await tx.execute("SELECT FROM gristmill.jobs WHERE id = $1 FOR UPDATE", queued.id)
        first = await tx.fetchval(
            "SELECT id FROM gristmill.units WHERE job_id = $1 AND state = 'pending'"
            " ORDER BY id LIMIT 1 FOR UPDATE",
            job_id,
        )
        async with asyncio.timeout(timedelta(seconds=5).total_seconds()):
            assert await world.units.claim_of_job("w1", queued.id) is None, (
                "it could not be said to have begun"
            )
            assert (await world.claimed(job_id=job_id)).id > first
