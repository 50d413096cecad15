"""Jobs that wait for a place among those of their tenant: figures, and services of the version before."""

from datetime import timedelta

import pytest

from shared.core.limits import Limits
from shared.db.figures import FigureStore
from shared.db.limits import LimitStore
from shared.db.overview import OverviewStore
from shared.db.statements import METRICS

LEASE = timedelta(seconds=10)


async def test_units_of_jobs_that_wait_for_a_place_do_not_wait_for_a_slot(world):
    limits = LimitStore(world.pool, Limits())
    await limits.set("acme", {"running_jobs": 1})
    await world.beat("w1", slots=4)
    for _ in range(3):
        await world.submit(tenant="acme")
    await limits.let_in()

    due = len(await world.units.due())
    figures = await FigureStore(world.pool).read(LEASE)
    overview = (await OverviewStore(world.pool).read("acme", lease=LEASE, with_slots=False)).queue

    assert due == 1
    assert (figures.units_waiting, figures.jobs_queued) == (due, 3)
    assert (overview.units_waiting, overview.jobs_queued) == (due, 3)


@pytest.mark.parametrize(
    "asked",
    [
        METRICS.service.sql,
        "SELECT tenant FROM gristmill.jobs WHERE state IN ('queued', 'running') ORDER BY tenant LIMIT 1",
    ],
    ids=["figures", "claims of the version before"],
)
async def test_open_jobs_are_found_by_an_index_whether_they_wait_or_not(world, asked):
    values = {"lease": LEASE, "most": 100, "newest": 10}
    async with world.pool.transaction() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        given = METRICS.service.arguments(values) if asked == METRICS.service.sql else []
        plan = "\n".join(row[0] for row in await tx.fetch(f"EXPLAIN {asked}", *given))

    assert "Seq Scan on jobs" not in plan, plan
