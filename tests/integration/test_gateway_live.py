"""The units of a job and the workers over HTTP. The stores play the workers."""

import time
from datetime import timedelta

import pytest

from api_service.wire.pages import encode_cursor
from api_service.wire.workers import UnitsCursor
from shared.core.plan import PlanPayload
from shared.core.retry import Charge
from shared.core.workers import Usage
from tests.support.gateway import database, gateway, insert_job, problem_of, rows_of
from tests.support.store import PLAN, PROBLEM, World, chunks

MANY_UNITS = """
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version)
SELECT $1, 'chunk', no, 1, CASE no WHEN 99999 THEN 'failed' ELSE 'done' END, 1
FROM generate_series(0, 99999) no
"""


@pytest.fixture
async def world(settings):
    world = World(settings.database_url)
    yield world
    await world.pool.close()


async def pages(http, path: str, **parameters) -> list[list[dict]]:
    found, after = [], {}
    while True:
        async with http.get(path, params=parameters | after) as response:
            assert response.status == 200, await response.text()
            page = await response.json()
        found.append(page["items"])
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


async def test_units_are_listed_in_the_order_of_work_with_their_attempts_and_errors(settings, world):
    job_id = await world.planned(3)
    first = await world.claimed(job_id=job_id)
    await world.commit(first)
    second = await world.claimed(job_id=job_id)
    await world.units.give_back(second, Charge.CRASH, problem=PROBLEM, delay=timedelta(hours=1))
    third = await world.claimed(job_id=job_id)
    async with gateway(settings) as http:
        [units] = await pages(http, f"/v1/jobs/{job_id}/units")
        assert [(unit["kind"], unit["no"], unit["state"]) for unit in units] == [
            ("plan", 0, "done"),
            ("chunk", first.no, "done"),
            ("chunk", second.no, "pending"),
            ("chunk", third.no, "leased"),
        ]
        done, again, leased = units[1:]
        assert (done["worker"], done["rows_out"], done["bytes"], done["error"]) == ("w1", 1, 10, None)
        assert done["ms"] >= 0
        assert done["finished_at"] > done["leased_at"]
        assert again["attempts"] == {
            **dict.fromkeys(("deaths", "errors", "ooms", "preemptions"), 0),
            "total": 1,
            "crashes": 1,
        }
        assert (again["error"], again["ms"]) == (PROBLEM, None)
        assert (leased["finished_at"], leased["worker"]) == (None, "w1")
        assert set(leased["rows"]) >= {"read", "aggregated", "quarantined"}

        assert await pages(http, f"/v1/jobs/{job_id}/units", limit=1) == [[unit] for unit in units[:3]] + [
            [leased | {"ms": pytest.approx(leased["ms"], abs=5000)}]
        ]
        assert await pages(http, f"/v1/jobs/{job_id}/units", kind="chunk", state="pending") == [[again]]
        assert await pages(http, f"/v1/jobs/{job_id}/units", state="failed") == [[]]


async def test_a_unit_has_all_its_failed_attempts(settings, world):
    job_id = await world.planned(2)
    for charge, problem in ((Charge.DEATH, None), (Charge.PREEMPTION, PROBLEM | {"code": "preempted"})):
        lease = await world.claimed(job_id=job_id)
        await world.units.give_back(lease, charge, problem=problem)
    await world.beat("w2")
    lease = await world.claimed("w2", job_id=job_id)
    await world.units.fail(lease, PROBLEM)
    async with gateway(settings) as http:
        [[plan, chunk, other]] = await pages(http, f"/v1/jobs/{job_id}/units")
        [[first, second, last, _]] = await pages(http, f"/v1/jobs/{job_id}/history", after=2)
    assert (plan["failures"], other["failures"]) == ([], [])
    assert chunk["failures"] == [
        {"attempt": no, "worker": worker, "at": told["at"], "charge": charge, "final": final, "error": error}
        for no, worker, told, charge, final, error in (
            (1, "w1", first, "death", False, None),
            (2, "w1", second, "preemption", False, PROBLEM | {"code": "preempted"}),
            (3, "w2", last, None, True, PROBLEM),
        )
    ]
    assert chunk["attempts"]["total"] == 3


async def test_a_unit_of_a_new_plan_has_no_failures_of_the_one_before(settings, world):
    job_id = await world.planned(1)
    lease = await world.claimed(job_id=job_id)
    await world.units.give_back(lease, Charge.ERROR, problem=PROBLEM)
    await world.units.plan_again(await world.claimed(job_id=job_id), PlanPayload())
    await world.units.give_back(await world.claimed(job_id=job_id), Charge.CRASH)
    await world.units.complete_plan(await world.claimed(job_id=job_id), PLAN, chunks(1))
    async with gateway(settings) as http:
        [[plan, chunk]] = await pages(http, f"/v1/jobs/{job_id}/units")
    assert [failed["charge"] for failed in plan["failures"]] == ["crash"]
    assert chunk["failures"] == []


async def test_a_list_of_units_refuses_what_it_does_not_know(settings):
    job_id, other = await insert_job(settings), await insert_job(settings, tenant="other")
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{job_id}/units?kind=chunks") as response:
            problem = await problem_of(response)
            assert (response.status, problem["code"]) == (422, "invalid_parameter")
            assert "plan, chunk, merge, publish" in problem["detail"]
        async with http.get(f"/v1/jobs/{other}/units") as response:
            assert (await problem_of(response))["code"] == "not_found"
        async with database(settings) as connection:
            await connection.execute(MANY_UNITS, job_id)
        after = (await rows_of(http, f"/v1/jobs/{job_id}/units?limit=1"))["next"]
        for path in (f"{other}/units?", f"{job_id}/units?kind=chunk&"):
            async with http.get(f"/v1/jobs/{path}after={after}") as response:
                assert (await problem_of(response))["code"] == "invalid_cursor"


async def test_a_hundred_thousand_units_are_read_in_pages_from_anywhere(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http, database(settings) as connection:
        await connection.execute(MANY_UNITS, job_id)
        await connection.execute("ANALYZE gristmill.units")
        [failed] = await pages(http, f"/v1/jobs/{job_id}/units", state="failed")
        assert [unit["no"] for unit in failed] == [99999]
        first = await rows_of(http, f"/v1/jobs/{job_id}/units?limit=1000")
        assert [unit["no"] for unit in first["items"]] == [0, *range(999)]
        late = encode_cursor(UnitsCursor(job_id, "chunk", 98_499))
        last = await pages(http, f"/v1/jobs/{job_id}/units", limit=1000, after=late)
        assert [unit["no"] for page in last for unit in page] == [*range(98_500, 100_000)]


async def test_workers_are_listed_with_what_they_hold_and_take(settings, world):
    usage = Usage(rss_bytes=1 << 40, cpu_seconds=7.25, cpu_cores=1.5)
    begun = time.time()
    await world.workers.beat(
        "wrk_b",
        host="h2",
        pid=7,
        version="9.9",
        slots=3,
        able=2,
        draining=False,
        state_version=6,
        usage=usage,
    )
    for _ in range(2):
        await world.workers.beat("wrk_a", host="h1", pid=6, version="9.8", slots=1, able=1, draining=True)
    lease = await world.leased("wrk_c")
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.workers SET seen_at = now() - interval '42 s' WHERE id = 'wrk_c'"
        )
    async with gateway(settings.model_copy(update={"time_scale": 1.0})) as http:
        [found] = await pages(http, "/v1/workers")
        assert await pages(http, "/v1/workers", limit=2) == [
            [item | {"silent_ms": pytest.approx(item["silent_ms"], abs=20_000)} for item in found[:2]],
            [found[2] | {"silent_ms": pytest.approx(found[2]["silent_ms"], abs=20_000)}],
        ]
    assert [(item["id"], item["state"]) for item in found] == [
        ("wrk_a", "draining"),
        ("wrk_b", "live"),
        ("wrk_c", "gone"),
    ]
    assert found[0]["usage"] == {"rss_bytes": None, "cpu_seconds": None, "cpu_cores": None}
    assert found[1]["usage"] == {"rss_bytes": 1 << 40, "cpu_seconds": 7.25, "cpu_cores": 1.5}
    assert [found[1][name] for name in ("host", "pid", "version", "slots", "able", "state_version")] == [
        *("h2", 7, "9.9", 3, 2, 6)
    ]
    assert 0 <= found[1]["silent_ms"] <= (time.time() - begun) * 1000 + 100
    assert 42_000 <= found[2]["silent_ms"] < 60_000
    [held] = found[2]["units"]
    assert held.pop("since")
    assert held == {"id": lease.id, "job": lease.job_id, "kind": "plan", "no": 0}


async def test_a_worker_that_is_asked_to_drain_hears_of_it_and_counts_as_draining_at_once(settings, world):
    await world.beat("wrk_a")
    await world.beat("wrk_gone")
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.workers SET seen_at = now() - interval '42 s' WHERE id = 'wrk_gone'"
        )
    async with gateway(settings.model_copy(update={"time_scale": 1.0})) as http:
        for _ in range(2):
            async with http.post("/v1/workers/wrk_a/drain") as response:
                assert response.status == 202
                assert (await response.json())["state"] == "draining"
        async with http.post("/v1/workers/wrk_gone/drain") as response:
            problem = await problem_of(response)
            assert (response.status, problem["code"]) == (409, "invalid_state")
            assert "42 s ago" in problem["detail"]
        async with http.post("/v1/workers/wrk_none/drain") as response:
            problem = await problem_of(response)
            assert (response.status, problem["code"]) == (404, "not_found")
            assert "wrk_none" in problem["detail"]
    heard = [
        (
            await world.workers.beat(worker, host="h", pid=1, version="0", slots=1, able=1, draining=draining)
        ).drain
        for worker, draining in (("wrk_a", False), ("wrk_a", True), ("wrk_gone", False))
    ]
    assert heard == [True, True, False]
    [row], _ = await world.workers.page(timedelta(seconds=10), worker="wrk_a")
    assert (row.draining, row.gone) == (True, False)
