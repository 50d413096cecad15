"""Jobs that wait for a place among those of their tenant: the figures tell them apart."""

from datetime import timedelta

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


async def test_the_figures_find_open_jobs_by_indexes(world):
    values = {"lease": LEASE, "most": 100, "newest": 10}
    async with world.pool.transaction() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        explained = await tx.fetch(f"EXPLAIN {METRICS.service.sql}", *METRICS.service.arguments(values))

    assert "Seq Scan on jobs" not in (plan := "\n".join(row[0] for row in explained)), plan
