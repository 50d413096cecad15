"""options.max_parallel_chunks: so many chunks of a job are leased at once at most, though workers die."""

import asyncio
import random

import pytest

from shared.errors import LeaseLost
from tests.support.store import PROBLEM, WIDER, World

CLAIMERS, LIMIT = 8, 3


@pytest.fixture
async def world(database_url):
    world = World(database_url)
    await world.beat(slots=CLAIMERS)
    yield world
    await world.pool.close()


async def leased(world, job_id):
    return (await world.states(job_id)).count("leased")


async def test_no_claim_goes_beyond_the_limit_and_each_end_of_a_lease_makes_room(world):
    job_id = await world.planned(6, max_parallel=2)
    first, second = [await world.claimed(job_id=job_id) for _ in range(2)]
    assert await world.units.claim_of_job("w1", job_id) is None
    assert await world.units.claim_fairest("w1") is None
    await world.commit(first)
    third = await world.claimed()
    assert await world.units.claim_fairest("w1") is None
    await world.units.give_back(second, "crash")
    await world.claimed(job_id=job_id)
    assert await leased(world, job_id) == 2
    await world.units.widen(third, WIDER)
    assert await leased(world, job_id) == 0
    assert [await world.claimed() for _ in range(2)]
    assert await world.units.claim_fairest("w1") is None


async def test_claims_at_once_never_go_beyond_it_and_the_job_ends(world):
    job_id = await world.planned(20, max_parallel=LIMIT)
    await world.value("UPDATE gristmill.workers SET seen_at = now() + interval '1 hour' RETURNING 1")
    most, dice, over = 0, random.Random(1), asyncio.Event()

    async def work(own):
        """Claim in both ways, and commit or give back."""
        nonlocal most
        while not over.is_set():
            lease = await (
                own.units.claim_of_job("w1", job_id) if dice.random() < 0.5 else own.units.claim_fairest("w1")
            )
            if lease is None or lease.kind != "chunk":
                if lease is not None or await own.advance(job_id):
                    over.set()
                continue
            most = max(most, await leased(own, job_id))
            if dice.random() < 0.3:
                await own.units.give_back(lease, "nothing")
            else:
                await own.commit(lease)

    others = [World(world.url) for _ in range(CLAIMERS)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(work(own) for own in others), return_exceptions=False)
    for own in others:
        await own.pool.close()

    assert 0 < most <= LIMIT
    assert set(await world.states(job_id)) == {"done"}


async def test_the_lease_of_a_dead_worker_counts_until_it_is_taken_back(world):
    job_id = await world.planned(3, max_parallel=1)
    await world.beat("dead")
    await world.claimed("dead", job_id=job_id)
    await world.value(
        "UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' WHERE id = 'dead' RETURNING 1"
    )
    assert await world.units.claim_fairest("w1") is None
    [(lease, died, _)] = await world.units.expired()
    assert died
    await world.units.give_back(lease, "death")
    assert await world.claimed(job_id=job_id)


async def test_a_job_at_its_limit_holds_up_no_other(world):
    limited = await world.planned(5, max_parallel=1, priority=9)
    await world.claimed(job_id=limited)
    other = await world.planned(2)
    rung = await world.units.due()
    units = {unit["id"]: unit["job_id"] for job in (limited, other) for unit in await world.units_of(job)}
    assert {units[unit] for unit, _ in rung} == {other}, "messages are for work that can be claimed"
    assert (await world.claimed()).job_id == other
    assert (await world.claimed(after=other)).job_id == other
    assert await world.units.claim_fairest("w1") is None


async def test_a_job_that_is_paused_or_cancelled_at_that_moment_gives_no_chunk(world):
    job_id = await world.planned(3, max_parallel=2)
    await world.claimed(job_id=job_id)
    await world.jobs.pause("default", job_id)
    assert await world.units.claim_fairest("w1") is None
    assert await world.state(job_id) == "paused"
    await world.jobs.resume("default", job_id)
    lease = await world.claimed(job_id=job_id)
    await world.units.fail(lease, PROBLEM)
    assert await world.units.claim_fairest("w1") is None
    with pytest.raises(LeaseLost):
        await world.commit(lease)


async def test_merges_and_the_publish_are_not_limited_and_the_revision_does_not_rise_with_claims(world):
    job_id = await world.planned(2, max_parallel=1)
    revision = "SELECT revision FROM gristmill.jobs WHERE id = $1"
    before = await world.value(revision, job_id)
    await world.commit(await world.claimed(job_id=job_id))
    assert await world.value(revision, job_id) == before
    await world.finish(job_id)
    assert await world.state(job_id) == "succeeded"


async def test_a_limited_job_has_no_folds_since_each_lease_of_one_would_count(world):
    limited, other = await world.planned(3, max_parallel=2), await world.planned(3)
    await world.jobs.pause("default", other)
    first = await world.units.claim_of_job("w1", limited)

    assert await world.units.claim_of_job("w1", limited, fold=first.id) is None
    assert await world.units.claim_of_job("w1", limited) is not None

    await world.jobs.resume("default", other)
    await world.jobs.pause("default", limited)
    first = await world.units.claim_of_job("w1", other)
    assert (await world.units.claim_of_job("w1", other, fold=first.id)).job_id == other
