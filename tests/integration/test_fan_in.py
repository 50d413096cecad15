"""The step to the next phase fails again and again: the job ends with the cause, in whichever worker."""

import asyncio
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

from structlog.testing import capture_logs

from shared.core.plan import Plan, PlannedColumn
from shared.core.retry import FAN_IN_LIMIT
from shared.db.units import INSERT_BATCH
from shared.db.verify import violations
from shared.errors import DatabaseUnavailable
from shared.spec.width import MAX_COLUMNS
from tests.support.store import PLAN, chunks
from worker_service.context import Context
from worker_service.maintenance.sweeper import Sweeper, Swept
from worker_service.units.fan_in import advance

SPEC = {"source": {"uris": ["upload:u"]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}


def context(world):
    others = dict.fromkeys(("pool", "partials", "publishing", "plans", "doorbell", "executor"))
    others["settings"] = SimpleNamespace(slot_memory_bytes=1 << 31)
    stores = {"jobs": world.jobs, "units": world.units, "fan_in": world.fan_in}
    return Context(timings=world.timings, **stores, **others)


def sweeper(world) -> Sweeper:
    """Each call is another process, which remembers nothing."""
    return Sweeper(world.jobs, world.units, partial(advance, context(world)), world.timings)


async def scanned(world, spec=SPEC) -> str:
    """A job whose last chunk is done."""
    await world.beat()
    job, _ = await world.jobs.submit(
        "default",
        spec,
        "d",
        idempotency_key=None,
        priority=5,
        labels={},
        result_name=None,
        kept_versions=1,
        uploads=[],
        deadline=None,
        state_version=world.units._state_version,
    )
    await world.units.complete_plan(await world.claimed(job_id=job.id), PLAN, chunks(1))
    await world.commit(await world.claimed(job_id=job.id))
    return job.id


async def error_of(world, job_id: str):
    job = await world.jobs.get("default", job_id)
    return job.state, job.error and (job.error["code"], job.error["detail"])


async def test_a_result_that_no_table_holds_fails_its_job_at_once(world):
    """A job that was stored before such specs were refused."""
    quantiles = [
        {"fn": "quantile", "column": "k", "q": [no / 1000 for no in range(100)], "as": f"a{i}"}
        for i in range(17)
    ]
    plan = Plan(files=(), schema=(PlannedColumn("k", "float64"),), bytes=0)
    job_id = await scanned(world, SPEC | {"aggregates": quantiles})
    await world.value("UPDATE gristmill.jobs SET plan = $2 WHERE id = $1 RETURNING 1", job_id, plan)
    await sweeper(world).run_once()

    state, (code, detail) = await error_of(world, job_id)
    assert (state, code) == ("failed", "too_many_columns")
    assert str(MAX_COLUMNS) in detail


async def test_states_that_hold_lists_have_smaller_merges(world, monkeypatch):
    monkeypatch.setattr("shared.core.fan_in.LIST_MERGE_BYTES", 1)
    plan = Plan(files=(), schema=(PlannedColumn("k", "int64"),), bytes=0)
    merges = "SELECT count(*) FROM gristmill.units WHERE kind = 'merge' AND job_id = $1"
    for fn, least, most in (("sum", 1, 1), ("median", 2, 1024)):
        job_id = await scanned(world, SPEC | {"aggregates": [{"fn": fn, "column": "k", "as": "a"}]})
        await world.value("UPDATE gristmill.jobs SET plan = $2 WHERE id = $1 RETURNING 1", job_id, plan)
        assert await advance(context(world), job_id)
        assert least <= await world.value(merges, job_id) <= most, fn


async def test_an_unexpected_error_is_counted_over_all_workers_and_fails_the_job_in_the_end(world):
    job_id = await scanned(world)
    await world.value("CREATE TABLE gristmill_results.in_the_way ()")
    await world.value(f"ALTER TABLE gristmill_results.in_the_way RENAME TO {job_id}")
    for _ in range(FAN_IN_LIMIT - 1):
        with capture_logs():
            await sweeper(world).run_once()
        assert (await error_of(world, job_id)) == ("running", None)
    with capture_logs():
        assert not await advance(context(world), job_id)

    state, (code, detail) = await error_of(world, job_id)
    assert (state, code) == ("failed", "internal_error")
    assert f"failed {FAN_IN_LIMIT} times" in detail
    assert "already exists" in detail


async def test_an_outage_is_counted_as_nothing_and_a_retry_counts_anew(world, monkeypatch):
    job_id = await scanned(world)

    async def away(*_, **__):
        raise DatabaseUnavailable("Postgres is away")

    with monkeypatch.context() as patch:
        patch.setattr(world.fan_in, "advance", away)
        for _ in range(FAN_IN_LIMIT + 1):
            await sweeper(world).run_once()
    assert (await error_of(world, job_id)) == ("running", None)

    await world.fan_in.charge(job_id)
    assert await sweeper(world).run_once() == Swept(advanced=1)
    assert (
        await world.value("SELECT (phase, fan_in_errors)::text FROM gristmill.jobs WHERE id = $1", job_id)
        == "(merging,0)"
    )


async def test_a_view_on_rows_that_no_result_shows_does_not_keep_a_job_from_ending(world):
    job_id = await scanned(world)
    await advance(context(world), job_id)
    await world.value(f"CREATE VIEW results.early AS SELECT * FROM gristmill_results.{job_id}")
    await world.jobs.cancel("default", job_id)

    assert await world.state(job_id) == "cancelled"


async def test_a_job_that_stands_still_for_minutes_beside_a_living_worker_is_a_violation(world):
    job_id = await scanned(world)
    assert await violations(world.pool) == []

    await world.value("UPDATE gristmill.units SET finished_at = now() - interval '6 minutes' RETURNING 1")
    assert await violations(world.pool) == [], "its worker has just started"
    await world.value("UPDATE gristmill.workers SET started_at = now() - interval '6 minutes' RETURNING 1")
    [found] = await violations(world.pool)
    assert found.startswith(f"job_without_end: {job_id} is running in phase scanning")
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '1 minute' RETURNING 1")
    assert await violations(world.pool) == [], "without a worker jobs wait"


async def test_many_units_are_inserted_in_batches_between_which_others_have_their_turn(world):
    lease = await world.leased()
    made = []

    def one_by_one():
        for unit in chunks(5 * INSERT_BATCH + 1):
            made.append(unit)
            yield unit

    adding = asyncio.ensure_future(world.units.complete_plan(lease, PLAN, one_by_one()))
    seen = [0]
    while not adding.done():
        await asyncio.sleep(0)
        seen.append(len(made))
    await adding

    assert max(after - before for before, after in pairwise(seen)) <= INSERT_BATCH
    assert (
        await world.value("SELECT count(*) FROM gristmill.units WHERE kind = 'chunk'") == 5 * INSERT_BATCH + 1
    )
