"""Jobs that wait for a place among those of their tenant say so, and the figures tell them apart."""

import asyncio
from datetime import timedelta

from shared.core.limits import Limits
from shared.db.figures import FigureStore
from shared.db.limits import LimitStore
from shared.db.overview import OverviewStore
from shared.db.pool import connect
from shared.db.statements import METRICS
from tests.support.gateway import gateway, spec_for

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


async def ask(http, path: str, **sent):
    method = http.post if sent else http.get
    async with method(path, **sent) as response:
        assert response.status in {200, 202}, await response.text()
        return await (response.json() if path.startswith("/v1") else response.text())


async def test_a_waiting_job_says_so_in_each_document_and_on_its_page_until_it_may_run(settings, monkeypatch):
    monkeypatch.setattr("api_service.dashboard.new_job.WAIT_SECONDS", 0)
    pool = connect(settings.database_url, name="test", size=2)
    limits = LimitStore(pool, Limits())
    await limits.set("default", {"running_jobs": 1})
    try:
        async with gateway(settings) as http:
            first, second = [await ask(http, "/v1/jobs", json=spec_for(settings)) for _ in range(2)]
            dry = await ask(http, "/v1/plans", json=spec_for(settings), headers={"Prefer": "wait=0"})
            assert [job["waiting_for"] for job in (first, second, dry)] == [None, *["running_jobs"] * 2]
            listed = (await ask(http, "/v1/jobs"))["items"]
            assert [job["waiting_for"] for job in listed] == ["running_jobs", None]
            for page in (f"/jobs/{second['id']}", f"/new?plan={dry['id']}"):
                assert "(its limit <code>running_jobs</code>)" in await ask(http, page)
            assert "waits for a free worker" not in await ask(http, f"/new?plan={dry['id']}")

            before = await ask(http, f"/v1/jobs/{second['id']}")
            await limits.set("default", {"running_jobs": 3})
            await limits.let_in()
            async with asyncio.timeout(10):
                while (now := await ask(http, f"/v1/jobs/{second['id']}"))["waiting_for"]:
                    await asyncio.sleep(0.05)
            assert now["revision"] > before["revision"]
            assert "running_jobs" not in await ask(http, f"/jobs/{second['id']}")
    finally:
        await pool.close()
