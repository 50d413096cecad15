"""The unit protocol on real Postgres, without any process around it."""

import asyncio
from datetime import timedelta

import pytest

from shared.core.plan import DatasetFile, PlannedColumn, PlanPayload
from shared.core.retry import Charge
from shared.core.row_counts import RowCounts
from shared.db.partials import Partial
from shared.db.units import Done
from shared.errors import AlreadyDone, IdempotencyKeyReused, LeaseLost
from tests.support.store import PLAN, PROBLEM, WIDER, chunks


async def test_a_submitted_job_has_one_pending_plan_unit(world):
    job, replayed = await world.submit()

    assert (job.state, job.phase, replayed) == ("queued", "planning", False)
    assert [(u["kind"], u["state"]) for u in await world.units_of(job.id)] == [("plan", "pending")]


async def test_the_same_idempotency_key_gives_the_same_job_and_another_body_is_refused(world):
    first, _ = await world.submit(key="k")
    again, replayed = await world.submit(key="k")

    assert (again.id, replayed) == (first.id, True)
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(key="k", digest="other")


async def test_versions_of_a_name_are_numbered_at_submit(world):
    assert [(await world.submit(name="sales"))[0].version for _ in range(3)] == [1, 2, 3]


async def test_a_worker_without_a_heartbeat_gets_no_lease(world):
    job, _ = await world.submit()

    assert await world.units.claim_of_job("w1", job.id) is None


async def test_a_unit_is_leased_to_one_worker_only(world):
    lease = await world.leased()
    await world.beat("w2")

    assert await world.units.claim_of_job("w2", lease.job_id) is None
    assert (await world.jobs.get("default", lease.job_id)).state == "running"


async def test_a_zombies_commit_is_refused_and_leaves_nothing(world):
    old = await world.leased()
    await world.units.give_back(old, "death")
    await world.beat("w2")
    new = await world.units.claim_of_job("w2", old.job_id)

    async def write(tx):
        await tx.execute("INSERT INTO gristmill.results (tenant, name) VALUES ('default', 'zombie')")

    with pytest.raises(LeaseLost):
        await world.units.complete(old, Done(), write)
    await world.units.complete(new, Done(counts=RowCounts(read=7)), nothing)

    assert new.attempt == old.attempt + 1
    assert await world.value("SELECT count(*) FROM gristmill.results") == 0
    assert await world.value("SELECT rows_read FROM gristmill.units WHERE id = $1", new.id) == 7


async def test_what_ended_a_lease_is_charged_apart(world):
    lease = await world.leased()
    for charge in ("death", "crash", "error", "nothing", "error"):
        await world.units.give_back(lease, charge)
        lease = await world.units.claim_of_job("w1", lease.job_id)

    assert (lease.deaths, lease.crashes, lease.errors, lease.attempt) == (1, 1, 2, 6)


async def test_a_delayed_unit_is_not_claimable_before_its_time(world):
    lease = await world.leased()
    await world.units.give_back(lease, "error", delay=timedelta(hours=1))

    assert await world.units.claim_of_job("w1", lease.job_id) is None


async def test_cancelling_ends_pending_units_at_once_and_leased_ones_when_they_come_back(world):
    lease = await world.leased()
    await world.jobs.cancel("default", lease.job_id)
    assert await world.state(lease.job_id) == "cancelling"
    assert await world.beat() == {(lease.id, lease.attempt): False}, (
        "the worker hears that the unit is no longer wanted"
    )

    await world.units.give_back(lease, "nothing")

    assert (await world.jobs.get("default", lease.job_id)).state == "cancelled"
    await world.jobs.cancel("default", lease.job_id)
    assert await world.state(lease.job_id) == "cancelled"


async def test_a_failed_unit_fails_its_job_with_the_cause_and_it_cannot_be_cancelled_then(world):
    lease = await world.leased()
    await world.units.fail(lease, PROBLEM)

    job = await world.jobs.get("default", lease.job_id)
    assert (job.state, job.error) == ("failed", PROBLEM)
    with pytest.raises(AlreadyDone):
        await world.jobs.cancel("default", lease.job_id)


async def test_a_plan_commits_its_chunks_and_the_phase_in_one_step(world):
    lease = await world.leased()
    await world.units.complete_plan(lease, PLAN, chunks(3))

    job = await world.jobs.get("default", lease.job_id)
    progress = (await world.jobs.progress([job.id]))[job.id]
    assert (job.phase, progress.chunks_total, progress.bytes_total) == ("scanning", 3, 30)

    await world.units.complete_plan(lease, WIDER, [])
    assert (await world.jobs.get("default", job.id)).plan == PLAN, (
        "the same commit again is success and changes nothing"
    )


async def test_a_chunk_of_many_groups_weighs_less_because_its_merge_costs_more(world):
    job_id = await world.planned(2)
    weights = []
    for groups in (0, 5):
        lease = await world.claimed(job_id=job_id)
        await world.units.complete(lease, Done(rows_out=groups), nothing)
        weights.append((await world.jobs.progress([job_id]))[job_id].bytes_weighed)

    assert weights == [10, 10 + round(10 * (10 + 36 * 5) / (10 + 116 * 5))]


async def nothing(_tx):
    """Write nothing beside the ledger."""


async def test_a_commit_whose_answer_was_lost_counts_once(world):
    plan = await world.leased()
    await world.units.complete_plan(plan, PLAN, chunks(1))
    lease = await world.units.claim_of_job("w1", plan.job_id)
    writes = []

    async def write(tx):
        writes.append(await tx.fetchval("SELECT 1"))

    await world.units.complete(lease, Done(), write)
    await world.units.complete(lease, Done(), write)

    assert writes == [1]


PARTIALS = [Partial(0, 511, 1, b"low", 3), Partial(512, 1023, 1, b"high", 4)]


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_chunk_and_its_partial_are_committed_together_once_and_never_by_a_zombie(world, count):
    job_id = await world.planned(1)
    zombie = await world.claimed(job_id=job_id)
    await world.units.give_back(zombie, "death")
    owner = await world.claimed(job_id=job_id)

    with pytest.raises(LeaseLost):
        await world.partials.commit(zombie, Done(), iter([Partial(0, 1023, 1, b"zombie", 6)] * count))
    assert (await world.states(job_id), await world.value("SELECT count(*) FROM gristmill.partials")) == (
        ["leased"],
        0,
    )
    for _ in range(2):  # the second time as if the first answer had been lost
        await world.partials.commit(owner, Done(counts=RowCounts(read=7)), iter(PARTIALS[:count]))

    assert [unit["rows_read"] for unit in await world.units_of(job_id) if unit["kind"] == "chunk"] == [7]
    assert await world.value("SELECT array_agg(data ORDER BY piece) FROM gristmill.partials") == (
        [b"low", b"high"][:count] or None
    )


async def test_widening_happens_once_and_returns_finished_chunks(world):
    plan = await world.leased()
    await world.units.complete_plan(plan, PLAN, chunks(3))
    first, second, third = [await world.units.claim_of_job("w1", plan.job_id) for _ in range(3)]
    await world.units.complete(first, Done(counts=RowCounts(read=5)), nothing)

    await world.units.widen(second, WIDER)
    with pytest.raises(LeaseLost):
        await world.units.widen(third, PLAN)
    with pytest.raises(LeaseLost):
        await world.units.complete(third, Done(), nothing)

    job = await world.jobs.get("default", plan.job_id)
    assert job.plan == WIDER
    made = [u for u in await world.units_of(job.id) if u["kind"] == "chunk"]
    assert [(u["state"], u["epoch"], u["rows_read"]) for u in made] == [("pending", 2, 0)] * 3
    assert (await world.units.claim_of_job("w1", job.id)).epoch == 2


async def test_a_job_is_planned_again_once_and_forgets_its_chunks(world):
    plan = await world.leased()
    await world.units.complete_plan(plan, PLAN, chunks(3))
    first, second, third = [await world.units.claim_of_job("w1", plan.job_id) for _ in range(3)]
    await world.partials.commit(first, Done(rows_out=1), iter(PARTIALS[:1]))

    await world.units.plan_again(second, PlanPayload(prove=True))
    for late in (
        world.units.plan_again(third, PlanPayload()),
        world.units.complete(third, Done(), nothing),
        world.units.widen(third, WIDER),
    ):
        with pytest.raises(LeaseLost):
            await late

    job = await world.jobs.get("default", plan.job_id)
    assert (job.state, job.phase, job.plan, job.planned_at) == ("running", "planning", None, None)
    assert await world.value("SELECT count(*) FROM gristmill.partials") == 0
    assert not await world.advance(job.id)
    again = await world.units.claim_of_job("w1", job.id)
    assert (again.id, again.kind, again.epoch, again.payload, again.errors) == (
        plan.id,
        "plan",
        2,
        PlanPayload(prove=True),
        0,
    )
    await world.units.complete_plan(again, PLAN, chunks(2))
    made = [u for u in await world.units_of(job.id) if u["kind"] == "chunk"]
    assert [(u["no"], u["state"], u["epoch"]) for u in made] == [(0, "pending", 2), (1, "pending", 2)]


async def test_the_dispatcher_rings_for_a_window_only_and_fairly_by_priority(world):
    await world.beat(slots=4)
    for _ in range(10):
        await world.submit()

    assert len(await world.units.due()) == 4
    assert await world.units.due() == []


async def test_an_expired_lease_of_a_dead_worker_is_found(world):
    lease = await world.leased()
    assert await world.units.expired() == []
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '11 seconds' RETURNING 1")

    [(found, died, _)] = await world.units.expired()
    assert (found.id, found.attempt, died) == (lease.id, lease.attempt, True)


async def test_an_expired_lease_is_given_back_whatever_another_version_wrote_into_its_payload(world):
    lease = await world.leased()
    await world.value(
        "UPDATE gristmill.units SET payload = '[1]', deadline_at = now() - interval '1 second' RETURNING 1"
    )

    [(found, _, _)] = await world.units.expired()
    await world.units.give_back(found, Charge.CRASH)

    assert await world.states(lease.job_id, "plan") == ["pending"]


async def test_a_plan_that_an_earlier_version_stored_is_read(world):
    job, _ = await world.submit()
    file = {"uri": "file:///data/a.csv", "root": "/data", "below": "a.csv", "size": 3, "mtime_ns": 1}
    column = {"name": "k", "type": "string", "declared": False}
    await world.value(
        "UPDATE gristmill.jobs SET plan = $1 RETURNING 1", {"files": [file], "schema": [column], "bytes": 3}
    )

    plan = (await world.jobs.get("default", job.id)).plan
    assert (plan.files, plan.format, plan.warnings) == ((DatasetFile(**file),), "", ())
    assert plan.schema == (PlannedColumn("k", "string"),)


async def test_an_expired_deadline_is_not_the_workers_death(world):
    lease = await world.leased()
    await world.value("UPDATE gristmill.units SET deadline_at = now() - interval '1 second' RETURNING 1")

    assert [(found.id, died) for found, died, _ in await world.units.expired()] == [(lease.id, False)]


@pytest.mark.parametrize("rival", ["give_back", "widen", "plan_again"])
async def test_a_commit_and_its_rivals_do_not_deadlock(world, rival):
    """The rivals lock the job's row first; a partial's foreign key once locked it after the unit's."""
    plan = await world.leased()
    await world.units.complete_plan(plan, PLAN, chunks(2))
    mine, other = [await world.units.claim_of_job("w1", plan.job_id) for _ in range(2)]
    rivals = {
        "give_back": lambda: world.units.give_back(mine, "nothing"),
        "widen": lambda: world.units.widen(other, WIDER),
        "plan_again": lambda: world.units.plan_again(other, PlanPayload()),
    }
    started = []

    async def write(tx):
        started.append(asyncio.create_task(rivals[rival]()))
        while not started[0].done() and not await world.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0)
        await tx.execute(
            "INSERT INTO gristmill.partials VALUES ($1, $2, 0, 0, 0, 1, '')", plan.job_id, mine.no
        )

    await world.units.complete(mine, Done(), write)
    await asyncio.gather(*started)

    states = [u["state"] for u in await world.units_of(plan.job_id) if u["kind"] == "chunk"]
    partials = await world.value("SELECT count(*) FROM gristmill.partials")
    assert (states, partials) == {
        "give_back": (["done", "leased"], 1),
        "widen": (["pending", "pending"], 0),
        "plan_again": ([], 0),
    }[rival]


@pytest.mark.parametrize(("change", "to"), [("widen", WIDER), ("plan_again", PlanPayload(prove=True))])
async def test_a_zombie_cannot_begin_a_job_anew(world, change, to):
    plan = await world.leased()
    await world.units.complete_plan(plan, PLAN, chunks(1))
    zombie = await world.units.claim_of_job("w1", plan.job_id)
    await world.units.give_back(zombie, "death")

    with pytest.raises(LeaseLost):
        await getattr(world.units, change)(zombie, to)


async def test_a_claim_that_gets_nothing_leaves_the_job_queued(world):
    job, _ = await world.submit()
    await world.units.claim_of_job("never seen", job.id)

    assert (await world.jobs.get("default", job.id)).state == "queued"


async def test_a_replayed_submit_uses_up_no_version_number(world):
    for _ in range(3):
        job, _ = await world.submit(key="k", name="sales")

    assert job.version == 1
    assert (await world.submit(name="sales"))[0].version == 2


async def test_a_lease_whose_answer_was_lost_is_given_back_uncharged(world):
    lease = await world.leased()
    await world.units.give_back_stray(lease.id, lease.attempt, lease.worker)

    [unit] = await world.units_of(lease.job_id)
    assert (unit["state"], unit["deaths"] + unit["crashes"] + unit["errors"]) == ("pending", 0)
