"""A job's spec is parsed and bound once in a worker's parent, and once in each child that scans it."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from shared.core.lifecycle import JobState, Phase
from shared.core.plan import ChunkPayload, Plan, PlannedColumn, schema_of
from shared.db.units import Lease
from shared.errors import LeaseLost
from shared.spec.bind import bind
from tests.support.child_tasks import chunk_task, plan_task
from worker_service import context
from worker_service.child import tasks
from worker_service.context import KEPT_JOBS, Context

SPEC = {"source": {"uris": ["file:///x"]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}
PLAN = Plan(files=(), format="csv", schema=(PlannedColumn("k", "string"),), bytes=0)


@pytest.fixture
def bound(monkeypatch):
    """The schemas that a spec has been bound to, in the parent and in a child."""
    found = []
    for module in (context, tasks):
        bind = module.bind
        monkeypatch.setattr(module, "bind", lambda *args, bind=bind: found.append(args[1]) or bind(*args))
    yield found
    tasks._bound.cache_clear()


def worker(plan=PLAN, epoch=1):
    async def work(job_id):
        known = {"state": JobState.RUNNING, "phase": Phase.SCANNING, "result_name": None, "version": None}
        return SimpleNamespace(id=job_id, tenant="default", epoch=epoch, spec=SPEC, plan=plan, **known)

    others = (
        "settings",
        "timings",
        "pool",
        "units",
        "partials",
        "fan_in",
        "publishing",
        "plans",
        "doorbell",
        "executor",
    )
    return Context(jobs=SimpleNamespace(work=work), **dict.fromkeys(others))


def lease(job_id="job_1", epoch=1):
    counts = dict.fromkeys(("id", "no", "bytes", "deaths", "crashes", "errors", "ooms"), 0)
    fence = {"kind": "chunk", "attempt": 1, "worker": "w", "allowed": timedelta(minutes=1)}
    return Lease(job_id=job_id, epoch=epoch, payload=ChunkPayload(()), **fence, **counts)


async def test_a_parent_binds_the_spec_of_a_job_once_for_all_of_its_units(bound):
    ctx = worker()
    jobs = [await ctx.planned(lease()) for _ in range(3)]

    assert jobs[0] is jobs[1] is jobs[2]
    assert [key.name for key in jobs[0].query.keys] == ["k"]
    assert len(bound) == 1


async def test_a_parent_keeps_only_the_last_jobs(bound):
    ctx = worker()
    for no in range(KEPT_JOBS + 1):
        await ctx.planned(lease(f"job_{no}"))
    await ctx.planned(lease(f"job_{KEPT_JOBS}"))
    assert len(bound) == KEPT_JOBS + 1
    await ctx.planned(lease("job_0"))

    assert len(bound) == KEPT_JOBS + 2


@pytest.mark.parametrize("changed", [{"epoch": 2}, {"plan": None}])
async def test_a_unit_whose_job_has_moved_on_or_is_planned_anew_has_lost_its_lease(changed):
    with pytest.raises(LeaseLost):
        await worker(**changed).planned(lease())


async def test_a_parent_that_has_planned_a_job_reads_and_binds_it_no_more(bound):
    ctx = worker()
    job = await ctx.unplanned(lease())
    kept = ctx.keep(job, PLAN, bind(job.spec, schema_of(PLAN.schema)))

    assert await ctx.planned(lease()) is kept
    assert (kept.plan, kept.schema["k"].column) == (PLAN, "k")
    assert bound == []
    with pytest.raises(LeaseLost):
        await ctx.planned(lease(epoch=2))


def test_a_child_binds_the_spec_of_a_job_once_for_its_plan_and_all_of_its_chunks(bound, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("k\n" + "a\n" * 2000)
    planned, _ = tasks.run(plan_task(SPEC, path))
    numbers = range(len(planned.chunk_texts))
    found = [tasks.run(chunk_task(SPEC, planned, no))[0].rows.aggregated for no in numbers]

    assert (len(found) > 1, sum(found)) == (True, 2000)
    assert len(bound) == 1
