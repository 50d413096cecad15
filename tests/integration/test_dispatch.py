"""Which unit gets the next slot, and how many messages are out."""

import re
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from shared.core.fairness import preempted
from shared.core.fan_in import (
    LONG_LIST_MERGE_BYTES,
    LONG_MERGE_BYTES,
    ROW_BYTES,
    StateSizes,
    merge_payloads,
    merge_ranges,
    publish_payload,
)
from shared.core.limits import UNLIMITED
from shared.core.plan import PublishPayload
from shared.core.row_counts import RowCounts
from shared.db.pool import QUEUE
from shared.db.records import count_columns
from shared.db.statements import JOBS, LIMITS, PARTIALS, UNITS
from shared.db.units import UnitStore
from shared.spec.version import STATE_VERSION
from tests.support.store import PLAN


async def serve(world, times, slot="w1", after=None):
    """Serve one slot that commits every unit it gets; returns the tenants in order."""
    served = []
    for _ in range(times):
        lease = await world.claimed(slot, after=after)
        served.append(await world.value("SELECT tenant FROM gristmill.jobs WHERE id = $1", lease.job_id))
        await world.units.complete_plan(lease, PLAN, [])
        after = lease.job_id
    return served


# fault matrix: 54
async def test_the_next_freed_slot_serves_the_tenant_that_waits_behind_another_ones_flood(world):
    await world.beat()
    for _ in range(50):
        await world.submit(tenant="flood")
    busy = await world.claimed()
    free = await world.claimed()
    await world.submit(tenant="other")

    assert await world.units.claim_of_job("w1", free.job_id) is None or free.kind != "plan"
    await world.units.complete_plan(free, PLAN, [])
    next_one = await world.claimed(after=free.job_id)

    assert busy.job_id != free.job_id
    assert await world.value("SELECT tenant FROM gristmill.jobs WHERE id = $1", next_one.job_id) == "other"


async def test_a_single_slot_serves_the_tenants_in_turn(world):
    await world.beat()
    for tenant in "aaaabbc":
        await world.submit(tenant=tenant)

    assert await serve(world, 7) == list("abcabaa")


async def test_a_tenant_with_fewer_leases_comes_first(world):
    await world.beat()
    for tenant in "aaabb":
        await world.submit(tenant=tenant)
    leases = [await world.claimed() for _ in range(5)]

    tenants = [
        await world.value("SELECT tenant FROM gristmill.jobs WHERE id = $1", lease.job_id) for lease in leases
    ]
    assert tenants == list("ababa")


async def test_within_a_tenant_priority_comes_first_then_age(world):
    await world.beat()
    jobs = [(await world.submit(priority=priority))[0].id for priority in (3, 7, 5, 7)]

    assert [(await world.claimed()).job_id for _ in range(4)] == [jobs[1], jobs[3], jobs[2], jobs[0]]


async def test_a_big_job_gives_way_to_a_newer_one_of_its_own_tenant(world):
    big = await world.planned(20)
    first = await world.claimed(job_id=big)
    newer, _ = await world.submit()
    await world.commit(first)

    assert await world.units.claim_of_job("w1", big) is None
    assert (await world.claimed(after=big)).job_id == newer.id
    assert (await world.claimed(after=newer.id)).job_id == big
    assert (await world.claimed(job_id=big)).job_id == big, "no tenant waits any more"


async def test_a_big_job_of_higher_priority_gives_way_to_none(world):
    big = await world.planned(20, priority=9)
    first = await world.claimed(job_id=big)
    await world.submit()
    await world.commit(first)

    assert (await world.claimed(after=big)).job_id == big


async def test_a_small_job_goes_on_unless_a_tenant_that_has_nothing_waits(world):
    small = await world.planned(6)
    await world.submit()
    assert (await world.claimed(job_id=small)).job_id == small
    await world.submit(tenant="other")

    assert await world.units.claim_of_job("w1", small) is None
    assert (await world.claimed(after=small)).job_id != small
    assert (await world.claimed(job_id=small)).job_id == small, "the other tenant has its slot now"


async def test_a_unit_that_waits_for_its_next_try_lets_others_pass(world):
    first = await world.leased()
    second, _ = await world.submit()
    await world.units.give_back(first, "error", delay=timedelta(hours=1))

    assert (await world.claimed()).job_id == second.id


async def test_only_a_lease_that_is_held_is_given_back(world):
    lease = await world.leased()
    assert await world.units.give_back(lease, "nothing")
    assert not await world.units.give_back(lease, "nothing")


async def test_a_job_whose_row_is_locked_is_passed_over_and_not_in_the_way_of_others(world):
    await world.beat()
    held, _ = await world.submit(priority=9)
    other, _ = await world.submit()

    async with world.pool.transaction() as tx:
        await JOBS.lock.fetchrow(tx, id=held.id)
        assert (await world.claimed()).job_id == other.id
        assert await world.units.claim_fairest("w1") is None
    assert (await world.claimed()).job_id == held.id


# fault matrix: 47
async def test_a_worker_passes_over_what_it_cannot_write_and_such_units_take_no_room(world):
    await world.beat(slots=1)
    newer = [(await world.submit(state_version=STATE_VERSION + 1))[0].id for _ in range(5)]
    ours, _ = await world.submit()

    assert await world.units.claim_of_job("w1", newer[0]) is None
    assert [unit for unit, _ in await world.units.due()] == [(await world.units_of(ours.id))[0]["id"]]
    assert (await world.claimed()).job_id == ours.id
    assert await world.units.claim_fairest("w1") is None
    assert (
        await UnitStore(world.pool, world.timings, STATE_VERSION + 1).claim_fairest("w1")
    ).job_id == newer[0]


# fault matrix: 47
async def test_what_a_newer_worker_fans_in_stays_for_the_version_that_scanned(world):
    job_id = await world.planned(1)
    await world.commit(await world.claimed(job_id=job_id))
    newer = UnitStore(world.pool, world.timings, STATE_VERSION + 1)

    await world.advance(job_id)

    assert await newer.claim_of_job("w1", job_id) is None
    assert (await world.claimed(job_id=job_id)).kind == "merge"


async def publishing(world, tenant):
    """A job of *tenant* whose publish is long; it is paused, and holds up no other."""
    job_id = await world.planned(1, tenant=tenant)
    await world.commit(await world.claimed(job_id=job_id))
    await world.advance(job_id)
    await world.commit(await world.claimed(job_id=job_id))
    await world.value(
        "UPDATE gristmill.units SET rows_out = 10000000 WHERE job_id = $1 AND kind = 'merge' RETURNING 1",
        job_id,
    )
    await world.advance(job_id)
    await world.jobs.pause(tenant, job_id)
    return job_id


async def test_long_publishes_of_one_tenant_leave_a_slot_to_the_others_if_there_are_two(world):
    await world.beat(slots=2)
    first, second, other = [await publishing(world, tenant) for tenant in ("big", "big", "other")]
    for tenant, job_id in (("big", first), ("big", second), ("other", other)):
        await world.jobs.resume(tenant, job_id)
    begun = await world.claimed()

    assert (begun.job_id, begun.payload) == (first, PublishPayload(long=True))
    assert await world.units.claim_of_job("w1", second) is None
    assert (await world.claimed()).job_id == other
    assert await world.units.claim_fairest("w1") is None
    await world.beat("w2", slots=1)
    assert (await world.claimed("w2")).job_id == second, "a third slot"


async def test_a_single_slot_publishes_whatever_its_size(world):
    await world.beat(slots=1)
    job_id = await publishing(world, "big")
    await world.jobs.resume("big", job_id)

    assert (await world.claimed(job_id=job_id)).kind == "publish"


def long_merges(state_bytes, begun, ended, *, lists=False):
    states = StateSizes(state_bytes, 2 * state_bytes, lists)
    return [payload.first for payload, _ in merge_payloads(states, begun, ended) if payload.long]


@pytest.mark.parametrize(("lists", "most"), [(False, LONG_MERGE_BYTES), (True, LONG_LIST_MERGE_BYTES)])
def test_a_merge_that_reads_many_states_is_long_and_one_that_reads_few_is_not(lists, most):
    much = {1023: most}
    assert long_merges(most, much, much, lists=lists) == []
    much = {1023: most + 1}
    [last] = long_merges(most + 1, much, much, lists=lists)
    assert last > 0, "the merges of the other ranges have nothing to read"


def test_a_partial_of_many_ranges_counts_for_each_merge_that_reads_it():
    size = LONG_MERGE_BYTES + 1
    firsts = [first for first, _ in merge_ranges(StateSizes(size, 2 * size))]
    assert long_merges(size, {0: size}, {1023: size}) == firsts
    assert long_merges(size, {0: size}, {500: size}) == [first for first in firsts if first <= 500]


async def test_the_merges_have_to_read_the_bytes_of_their_partials_and_a_little_more_for_each(world):
    job_id = await world.planned(3)
    for _ in range(3):
        await world.commit(await world.claimed(job_id=job_id))
    async with world.pool.connection() as connection:
        partials = await connection.fetch(
            "SELECT first_bucket, last_bucket, length(data) FROM gristmill.partials WHERE job_id = $1", job_id
        )
        found = await PARTIALS.sizes.fetch(connection, job_id=job_id, cost=100)

    for column, at in (("begun", 0), ("ended", 1)):
        expected = Counter()
        for partial in partials:
            expected[partial[at]] += partial[2] + 100
        assert {row["bucket"]: row[column] for row in found if row[column]} == expected
    assert sum(row["size"] for row in found) == sum(partial[2] for partial in partials)


@pytest.mark.parametrize(
    ("rows", "table_bytes", "indexes", "long"),
    [
        (10**6, 0, 0, False),
        (10**6 + 1, 0, 0, True),
        (120_000, 0, 16, True),
        (10, 512 * 10**6, 0, True),
        (10, 64 * 10**6, 0, False),
    ],
)
def test_a_publish_is_long_by_its_rows_and_bytes_for_each_of_its_indexes(rows, table_bytes, indexes, long):
    payload, read = publish_payload(rows, table_bytes, indexes)
    assert payload.long is long
    assert read >= table_bytes // ROW_BYTES * ROW_BYTES * 2


# fault matrix: 56
async def test_workers_agree_on_the_youngest_lease_of_the_tenant_with_the_most_once_another_waits(world):
    await world.beat(slots=2)
    await world.beat("w2", slots=1)
    old, young, other = [
        await world.leased("w2" if at == 2 else "w1", tenant=tenant)
        for at, tenant in enumerate(["big", "big", "other"])
    ]
    await world.beat(slots=2)
    await world.beat("w2", slots=1)
    for lease, seconds in ((old, 60), (young, 30), (other, 20)):
        await world.value(
            "UPDATE gristmill.units SET leased_at = now() - $2::interval WHERE id = $1 RETURNING 1",
            lease.id,
            timedelta(seconds=seconds),
        )
    waiting, _ = await world.submit(tenant="waiting")
    assert await room(world) == (3, 0, 0, []), "no tenant has waited for a heartbeat"

    await world.value(
        "UPDATE gristmill.units SET not_before = now() - interval '4 seconds' WHERE job_id = $1 RETURNING 1",
        waiting.id,
    )
    assert await room(world) == (3, 1, 0, [young.id])
    await world.units.give_back(young, "preemption", delay=timedelta(seconds=3))
    assert await room(world) == (2, 1, 1, []), "a slot is free for it"
    assert (await world.claimed()).job_id == waiting.id, "what made room does not take it"
    [unit] = await world.units_of(young.job_id)
    assert (unit["preemptions"], unit["deaths"] + unit["crashes"] + unit["errors"] + unit["ooms"]) == (1, 0)


async def room(world):
    """Leases, tenants that wait, free slots, and the units that make room."""
    timings = world.timings
    leases, waiting, free = await world.workers.rivals(
        lease=timings.lease, state_version=STATE_VERSION, waited=timings.heartbeat
    )
    chosen = preempted(leases, waiting=waiting, free=free, protected=timings.protected)
    return len(leases), waiting, free, [lease.unit for lease in chosen]


# --- the window ---------------------------------------------------------------------------------------------


async def rung_long_ago(world, seconds):
    await world.value(
        "UPDATE gristmill.units SET rung_at = rung_at - make_interval(secs => $1) RETURNING 1", seconds
    )


async def test_messages_are_as_many_as_the_live_slots_however_long_none_is_answered(world):
    await world.beat(slots=4)
    await world.beat("gone", slots=50)
    await world.value(
        "UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' WHERE id = 'gone' RETURNING 1"
    )
    for _ in range(20):
        await world.submit()
    rung = {unit for unit, _ in await world.units.due(0)}
    assert len(rung) == 4

    for number in range(2, 6):
        await rung_long_ago(world, 60)
        again = await world.units.due(4)
        assert {unit for unit, _ in again} == rung
        assert {ring for _, ring in again} == {number}


@pytest.mark.parametrize(("queued", "fresh"), [(0, 4), (3, 1), (4, 0), (9, 0)])
async def test_messages_that_still_wait_in_redis_count(world, queued, fresh):
    await world.beat(slots=4)
    for _ in range(9):
        await world.submit()

    assert len(await world.units.due(queued)) == fresh


# fault matrix: 6, 46
async def test_messages_that_redis_has_lost_are_sent_again_within_two_passes(world):
    await world.beat(slots=4)
    for _ in range(9):
        await world.submit()
    rung = {unit for unit, _ in await world.units.due(0)}
    await rung_long_ago(world, world.timings.dispatch.total_seconds())

    assert await world.units.due(4) == [], "they are there, and wait for a slot"
    assert {unit for unit, _ in await world.units.due(0)} == rung


async def test_units_of_a_paused_job_leave_the_room_to_others(world):
    await world.beat(slots=2)
    paused = await world.planned(5)
    assert len(await world.units.due()) == 2
    await world.jobs.pause("default", paused)
    await world.submit()

    assert len(await world.units.due()) == 1


async def test_no_message_is_sent_for_a_slot_that_is_at_work_and_will_look_by_itself(world):
    await world.beat(slots=2)
    for _ in range(5):
        await world.submit()
    await world.claimed()
    assert len(await world.units.due()) == 1

    await world.claimed()
    assert await world.units.due(0) == []


async def test_a_dead_workers_leases_do_not_count_against_the_living(world):
    await world.leased("gone")
    await world.leased("gone")
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' RETURNING 1")
    await world.beat(slots=1)
    await world.submit()

    assert len(await world.units.due()) == 1


# --- plans --------------------------------------------------------------------------------------------------

LOAD = """
INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest)
SELECT 'flood' || lpad(i::text, 5, '0'), 'flood', '{}', '' FROM generate_series(1, 3000) i;
INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest, state) VALUES ('big', 'big', '{}', '', 'running');
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version)
SELECT id, 'plan', 0, 1, 1 FROM gristmill.jobs WHERE tenant = 'flood';
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, state)
SELECT 'big', 'chunk', i, 1, 1, CASE WHEN i <= 15000 THEN 'done' ELSE 'pending' END
FROM generate_series(1, 20000) i;
"""
SECONDS = "interval '10 seconds'"
CLAIM = {
    "worker": "'w1'",
    "state_version": "1",
    "lease": SECONDS,
    "unit_deadline": SECONDS,
    "plan_deadline": SECONDS,
    "byte_deadline": SECONDS,
    "fold": "NULL",
}
NEXT = {name: value for name, value in CLAIM.items() if name != "plan_deadline"}
LEASE = {"unit": "20000", "attempt": "1", "worker": "'w1'"}
COUNTS = dict.fromkeys([*count_columns(RowCounts()), "rows_out"], "0") | {"stats": "'{}'"}
PARTIAL = {"first_bucket": "0", "last_bucket": "1023", "groups": "1", "data": "''", "decoded": "1"}
PERIODS = dict.fromkeys(["lease", "dispatch", "ring_again", "ring_limit"], SECONDS)
HOT = {
    "claim_fairest": (UNITS.claim_fairest, CLAIM | {"after": "''"}),
    "claim_after": (UNITS.claim_fairest, CLAIM | {"after": "'flood00001'"}),
    "claim_of_job": (UNITS.claim_of_job, CLAIM | {"job_id": "'big'", "small": "8"}),
    "claim_of_a_small_job": (UNITS.claim_of_job, CLAIM | {"job_id": "'flood00001'", "small": "8"}),
    "claim_next": (UNITS.claim_next, NEXT | {"job_id": "'big'"}),
    "rivals": (UNITS.rivals, {"lease": SECONDS, "state_version": "1", "waited": SECONDS}),
    "due": (UNITS.due, PERIODS | {"state_version": "1", "queued": "0"}),
    "expired": (UNITS.expired, {"lease": SECONDS, "grace": SECONDS}),
    "unfinished": (UNITS.unfinished, {"job_id": "'big'"}),
    "complete": (UNITS.complete, LEASE | COUNTS),
    "complete_with_partial": (UNITS.complete_with_partial, LEASE | COUNTS | PARTIAL),
    "give_back": (UNITS.give_back, LEASE | {"delay": SECONDS, "error": "NULL", "charge": "'nothing'"}),
    "crowded": (LIMITS.crowded, {"running": "2", "unlimited": str(UNLIMITED)}),
    "crowded_without_default": (LIMITS.crowded, {"running": "NULL", "unlimited": str(UNLIMITED)}),
    "writing": (LIMITS.writing, {"stored": "NULL", "unlimited": str(UNLIMITED)}),
    "stalled": (JOBS.stalled, {}),
    "overdue": (JOBS.overdue, {}),
    "finish_ending": (JOBS.finish_ending, {"id": "'big'"}),
}


def execution(name):
    statement, values = HOT[name]
    arguments = ", ".join(statement.arguments(values))
    return f"EXECUTE {name}" + (f"({arguments})" if arguments else "")


FEW = """
INSERT INTO gristmill.jobs (id, spec, spec_digest, state, finished_at)
SELECT i, '{}', '', 'succeeded', now() FROM generate_series(1, 20) i;
INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version, state)
SELECT id, 'plan', 0, 1, 1, 'done' FROM gristmill.jobs;
"""
AT_ITS_LIMIT = """
UPDATE gristmill.jobs SET phase = 'scanning', max_parallel = 1 WHERE id = 'big';
UPDATE gristmill.units SET state = 'leased', worker = 'w2', deadline_at = now() + interval '1 hour'
WHERE job_id = 'big' AND no = 15001;
"""
PREPARED = {
    "empty": "SELECT 1",
    "few": FEW + "ANALYZE",
    "many": LOAD,
    "known": LOAD + "ANALYZE",
    "limited": LOAD + AT_ITS_LIMIT,
}


@pytest.mark.parametrize("when", PREPARED)
async def test_no_step_reads_more_as_the_backlog_grows(database_url, world, when):
    """With 3,000 jobs, and a job of 20,000 units, each reads a few dozen rows.

    It runs by the query plan that was made while the tables were *when*.
    """
    await world.beat(slots=2)
    connection = await asyncpg.connect(database_url, server_settings=QUEUE)
    await connection.execute(PREPARED[when])
    for name, (statement, _) in HOT.items():
        await connection.execute(f"PREPARE {name} AS {statement.sql}; EXPLAIN {execution(name)}")
    if LOAD not in PREPARED[when]:
        async with world.pool.connection() as other:
            await other.execute(LOAD)
    costs = {}
    for name in HOT:
        transaction = connection.transaction()
        await transaction.start()
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {execution(name)}")
        await transaction.rollback()
        plan = "\n".join(row[0] for row in rows)
        assert not re.search(r"Seq Scan on (units|jobs)", plan), plan
        read = max(
            int(rows) * int(loops) for rows, loops in re.findall(r"actual .*?rows=(\d+)\S* loops=(\d+)", plan)
        )
        skipped = max(map(int, re.findall(r"Rows Removed by (?:Join )?Filter: (\d+)", plan)), default=0)
        costs[name] = max(read, skipped)
    await connection.close()

    assert max(costs.values()) < 50, costs
    assert costs["claim_fairest"] > 0


async def test_chunks_that_are_given_back_come_before_later_ones(world):
    job_id = await world.planned(3)
    first = await world.claimed(job_id=job_id)
    await world.units.give_back(first, "nothing")

    assert (await world.claimed(job_id=job_id)).id == first.id


async def test_a_plan_without_chunks_leaves_nothing_to_claim(world):
    plan = await world.leased()
    await world.units.complete_plan(plan, PLAN, [])

    assert await world.units.claim_of_job("w1", plan.job_id) is None
    assert await world.fan_in.unfinished(plan.job_id) is False
