"""Deleting jobs, versions and results, and their expiry: nothing that a job publishes now is deleted."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from shared.core.retention import Retention
from shared.db.deleting import DeleteStore, delete_result
from shared.db.pool import connect
from shared.db.pruning import PruneStore
from shared.db.verify import violations
from shared.errors import InUse, ResultLocked
from tests.support.gateway import database, gateway, insert_job, problem_of, publish, rows_of

SHAPE = {"n": "int64"}
ROWS = [(1,), (2,), (3,)]
NOWHERE = "/v1/jobs/job_00000000000000000000000000"


@pytest.fixture
async def pool(settings):
    pool = connect(settings.database_url, name="test", size=6)
    yield pool
    await pool.close()


async def status(http, method, path):
    """The status of an answer, and the code and the detail of a problem."""
    async with http.request(method, path) as response:
        if response.status < 400:
            return response.status, None, None
        problem = await problem_of(response)
        return response.status, problem["code"], problem["detail"]


async def tables(pool):
    async with pool.connection() as connection:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace IN"
            " ('gristmill_results'::regnamespace, 'results'::regnamespace)"
        )
    return {row["relname"] for row in rows}


async def broken(pool):
    """What `verify` finds of tables, versions and views: `publish` makes no units."""
    return [
        found for found in await violations(pool) if found.startswith(("version", "table", "current", "view"))
    ]


async def test_a_job_goes_with_its_rows_and_a_reader_with_a_cursor_learns_it(settings, pool):
    job_id = await publish(settings, SHAPE, ROWS)
    async with gateway(settings) as http:
        after = (await rows_of(http, f"/v1/jobs/{job_id}/rows?limit=1"))["next"]
        assert await status(http, "DELETE", f"/v1/jobs/{job_id}") == (204, None, None)
        assert (await status(http, "GET", f"/v1/jobs/{job_id}"))[:2] == (404, "not_found")
        assert (await status(http, "GET", f"/v1/jobs/{job_id}/rows?limit=1&after={after}"))[:2] == (
            410,
            "cursor_expired",
        )
        assert (await status(http, "DELETE", f"/v1/jobs/{job_id}"))[:2] == (404, "not_found")
        assert (await status(http, "DELETE", NOWHERE))[:2] == (404, "not_found")
    assert await tables(pool) == set()
    assert await broken(pool) == []
    async with database(settings) as connection:
        for table in ("jobs", "units", "job_events", "versions"):
            assert await connection.fetchval(f"SELECT count(*) FROM gristmill.{table}") == 0


async def test_a_job_that_is_not_done_is_cancelled_first_as_the_answer_says(settings, pool):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        found = await status(http, "DELETE", f"/v1/jobs/{job_id}")
        assert found[:2] == (409, "invalid_state")
        assert f"POST /v1/jobs/{job_id}/cancel" in found[2]
        assert (await status(http, "POST", f"/v1/jobs/{job_id}/cancel"))[0] == 202
        assert (await status(http, "DELETE", f"/v1/jobs/{job_id}"))[0] == 204
    assert await broken(pool) == []


async def test_the_job_of_a_version_goes_after_it_as_the_answer_says(settings, pool):
    old, new = [await publish(settings, SHAPE, ROWS, name="sales") for _ in range(2)]
    async with gateway(settings) as http:
        found = await status(http, "DELETE", f"/v1/jobs/{new}")
        assert found[:2] == (409, "in_use")
        assert "DELETE /v1/results/sales" in found[2]
        assert "versions/" not in found[2], "the current one of several cannot be deleted alone"
        found = await status(http, "DELETE", f"/v1/jobs/{old}")
        assert "DELETE /v1/results/sales/versions/1" in found[2]
        assert (await status(http, "DELETE", "/v1/results/sales/versions/1"))[0] == 204
        found = await status(http, "GET", f"/v1/jobs/{old}/rows")
        assert found[:2] == (410, "result_expired")
        assert "read version 2 at /v1/results/sales/rows" in found[2]
        assert (await status(http, "DELETE", f"/v1/jobs/{old}"))[0] == 204
        found = await status(http, "DELETE", f"/v1/jobs/{new}")
        assert "DELETE /v1/results/sales/versions/2" in found[2]
        assert (await status(http, "DELETE", "/v1/results/sales/versions/2"))[0] == 204
        assert (await status(http, "DELETE", f"/v1/jobs/{new}"))[0] == 204
    assert await tables(pool) == set()
    assert await broken(pool) == []


async def test_a_job_whose_rows_are_deleted_says_so_everywhere(settings):
    old, new = [await publish(settings, SHAPE, ROWS, name="sales") for _ in range(2)]
    async with gateway(settings) as http:

        async def seen() -> dict[str, tuple[bool, bool, bool]]:
            """By job: whether its result is current, is deleted, and has a link to its rows."""
            listed = (await rows_of(http, "/v1/jobs"))["items"]
            read = [await rows_of(http, f"/v1/jobs/{job_id}") for job_id in (new, old)]
            found = [
                {
                    job["id"]: (job["result"]["current"], job["result"]["deleted"], "rows" in job["links"])
                    for job in jobs
                }
                for jobs in (listed, read)
            ]
            assert found[0] == found[1]
            return found[0]

        assert await seen() == {new: (True, False, True), old: (False, False, True)}
        tag = await etag_of(http, old)
        assert (await status(http, "DELETE", "/v1/results/sales/versions/1"))[0] == 204
        assert await seen() == {new: (True, False, True), old: (False, True, False)}
        assert await etag_of(http, old) != tag
        for job_id, told in ((old, True), (new, False)):
            async with http.get(f"/jobs/{job_id}") as response:
                assert ("The rows of this job were deleted." in await response.text()) is told
        assert (await status(http, "DELETE", "/v1/results/sales"))[0] == 204
        assert (await seen())[new] == (False, True, False)
        found = await status(http, "GET", f"/v1/jobs/{new}/rows")
        assert found[:2] == (410, "result_expired")
        assert "submit its spec again" in found[2]
        assert "/v1/results/sales" not in found[2], "there is no other version"
        for part in ("receipt", "history", "units", "quarantine"):
            assert (await status(http, "GET", f"/v1/jobs/{new}/{part}"))[1] != "not_found"


async def etag_of(http, job_id: str) -> str:
    async with http.get(f"/v1/jobs/{job_id}") as response:
        return response.headers["ETag"]


async def test_versions_are_listed_and_deleted_one_by_one_but_not_the_current_of_several(settings, pool):
    for _ in range(3):
        await publish(settings, SHAPE, ROWS, name="sales")
    async with gateway(settings) as http:
        async with http.get("/v1/results/sales/versions?limit=2") as response:
            page = await response.json()
        assert [(v["version"], v["current"], v["expires_at"]) for v in page["items"]] == [
            (3, True, None),
            (2, False, None),
        ]
        async with http.get(f"/v1/results/sales/versions?after={page['next']}") as response:
            last = await response.json()
        assert ([v["version"] for v in last["items"]], last["next"]) == ([1], None)
        assert (await status(http, "GET", "/v1/results/other/versions"))[:2] == (404, "not_found")
        assert (await status(http, "GET", "/v1/results/sales/versions?after=x"))[:2] == (
            400,
            "invalid_cursor",
        )

        after = (await rows_of(http, "/v1/results/sales/rows?version=2&limit=1"))["next"]
        assert (await status(http, "DELETE", "/v1/results/sales/versions/3"))[:2] == (409, "in_use")
        assert (await status(http, "DELETE", "/v1/results/sales/versions/2"))[0] == 204
        assert (await status(http, "DELETE", "/v1/results/sales/versions/2"))[:2] == (404, "not_found")
        assert (await status(http, "GET", f"/v1/results/sales/rows?limit=1&after={after}"))[:2] == (
            410,
            "cursor_expired",
        )
        after = (await rows_of(http, "/v1/results/sales/rows?limit=1"))["next"]
        assert await status(http, "DELETE", "/v1/results/sales") == (204, None, None)
        assert (await status(http, "DELETE", "/v1/results/sales"))[:2] == (404, "not_found")
        assert (await status(http, "GET", "/v1/results/sales"))[:2] == (404, "not_found")
        assert (await status(http, "GET", f"/v1/results/sales/rows?limit=1&after={after}"))[:2] == (
            410,
            "cursor_expired",
        )
    assert await tables(pool) == set()
    assert await broken(pool) == []
    await publish(settings, SHAPE, ROWS, name="sales")
    async with gateway(settings) as http, http.get("/v1/results/sales") as response:
        assert (await response.json())["version"] == 4, "numbers are never given twice"
    assert await broken(pool) == []


async def test_nothing_goes_while_it_is_read_or_needed(settings, pool):
    named, unnamed = await publish(settings, SHAPE, ROWS, name="sales"), await publish(settings, SHAPE, ROWS)
    store = DeleteStore(pool)
    async with database(settings) as connection:
        async with connection.transaction():
            await connection.fetch(f"SELECT FROM gristmill_results.{named}")
            await connection.fetch(f"SELECT FROM gristmill_results.{unnamed}")
            with pytest.raises(ResultLocked, match="sales"):
                await store.result("default", "sales")
            with pytest.raises(ResultLocked, match=unnamed):
                await store.job("default", unnamed)
        await connection.execute("CREATE SCHEMA own CREATE VIEW mine AS SELECT * FROM results.sales")
        await connection.execute(f"CREATE VIEW own.other AS SELECT * FROM gristmill_results.{unnamed}")
        with pytest.raises(InUse, match="mine"):
            await store.result("default", "sales")
        with pytest.raises(InUse, match="other"):
            await store.job("default", unnamed)
        assert await broken(pool) == []
        await connection.execute("DROP SCHEMA own CASCADE")
    assert await store.result("default", "sales")
    assert await store.job("default", unnamed)
    assert await tables(pool) == set()


async def publishing(settings, deleting, *, delete_first):
    """Publish a second version while *deleting* runs, which begins before or after it."""
    job_id = await insert_job(settings, name="sales")
    task = asyncio.create_task(deleting()) if delete_first else None
    published = asyncio.create_task(publish(settings, SHAPE, ROWS, name="sales"))
    await asyncio.sleep(0)
    task = task or asyncio.create_task(deleting())
    outcomes = await asyncio.gather(published, task, return_exceptions=True)
    return job_id, outcomes


@pytest.mark.parametrize("delete_first", [True, False])
async def test_a_delete_that_races_with_a_publish_takes_it_whole_or_leaves_it(settings, pool, delete_first):
    store, ends = DeleteStore(pool), set()
    for _ in range(5):
        await publish(settings, SHAPE, ROWS, name="sales")
        _, [published, deleted] = await publishing(
            settings, lambda: store.result("default", "sales"), delete_first=delete_first
        )
        assert isinstance(published, str), published
        assert (isinstance(deleted, list) and deleted) or isinstance(deleted, ResultLocked), deleted
        assert await broken(pool) == []
        async with database(settings) as connection:
            shown = await connection.fetchval("SELECT current FROM gristmill.results WHERE name = 'sales'")
            rows = await connection.fetchval("SELECT count(*) FROM results.sales") if shown else None
        assert rows in {None, 3}
        ends.add(shown is not None)
    assert ends


async def test_a_publish_waits_for_a_delete_under_its_name_and_then_shows_its_rows(settings, pool):
    """The delete holds the name; the version that is published meanwhile is not among those that go."""
    await publish(settings, SHAPE, ROWS, name="sales")
    async with pool.transaction() as tx:
        assert await tx.fetchval("SELECT current FROM gristmill.results WHERE name = 'sales' FOR UPDATE") == 1
        later = asyncio.create_task(publish(settings, SHAPE, ROWS, name="sales"))
        deleting = asyncio.create_task(DeleteStore(pool).result("default", "sales"))
        done, _ = await asyncio.wait({deleting}, timeout=5)
        assert done, "it does not wait for longer than its lock's timeout"
        assert isinstance(deleting.exception(), ResultLocked)
    job_id = await later
    async with database(settings) as connection:
        assert await connection.fetchval("SELECT count(*) FROM results.sales") == 3
        assert await connection.fetchval("SELECT current FROM gristmill.results WHERE name = 'sales'") == 2
    assert job_id in await tables(pool)
    assert await broken(pool) == []


async def test_deletes_and_the_pruner_at_once_leave_nothing_half(settings, pool):
    names = ["a", "b"]
    for name in names:
        for _ in range(3):
            await publish(settings, SHAPE, ROWS, name=name)
    async with database(settings) as connection:
        await connection.execute("UPDATE gristmill.versions SET published_at = now() - interval '2 hours'")
        await connection.execute("UPDATE gristmill.jobs SET kept_versions = 1, expires = interval '1 hour'")
    store, keep = DeleteStore(pool), Retention()
    work = [store.result("default", name) for name in names]
    work += [PruneStore(pool).versions(keep.superseded, keep.unnamed) for _ in range(2)]
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        assert not isinstance(outcome, BaseException) or isinstance(outcome, ResultLocked), outcome
    await PruneStore(pool).versions(keep.superseded, keep.unnamed)
    assert await tables(pool) == set()
    assert await broken(pool) == []


async def expire(settings, job_id, hours):
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.jobs SET expires = interval '1 hour' WHERE id = $1", job_id
        )
        await connection.execute(
            "UPDATE gristmill.versions SET published_at = now() - $2::interval WHERE job_id = $1",
            job_id,
            timedelta(hours=hours),
        )


async def test_a_version_goes_when_it_expires_and_the_result_with_its_current_one(settings, pool):
    keep = Retention()
    unnamed, lasting = await publish(settings, SHAPE, ROWS), await publish(settings, SHAPE, ROWS)
    sales = [await publish(settings, SHAPE, ROWS, name="sales") for _ in range(3)]
    await expire(settings, unnamed, 2)
    await expire(settings, sales[0], 2)
    await expire(settings, sales[2], 0.5)
    await PruneStore(pool).versions(keep.superseded, keep.unnamed)
    assert await tables(pool) == {lasting, *sales[1:], "sales"}
    assert await broken(pool) == []
    async with gateway(settings) as http, http.get("/v1/results/sales") as response:
        shown = await response.json()
        assert shown["expires_at"] > shown["published_at"]

    await expire(settings, sales[2], 1.1)
    await PruneStore(pool).versions(keep.superseded, keep.unnamed)
    assert await tables(pool) == {lasting}
    assert await broken(pool) == []


async def test_an_expired_version_that_was_just_replaced_does_not_take_the_new_one_along(settings, pool):
    old = await publish(settings, SHAPE, ROWS, name="sales")
    await expire(settings, old, 2)
    new = await publish(settings, SHAPE, ROWS, name="sales")
    async with pool.transaction() as tx:
        assert not await delete_result(tx, "default", "sales", expired=True)
    await PruneStore(pool).versions(timedelta(hours=1), timedelta(days=7))
    assert await tables(pool) == {new, "sales"}
    assert await broken(pool) == []


async def test_an_object_of_the_name_that_is_not_gristmills_stays(settings, pool):
    await publish(settings, SHAPE, ROWS, name="sales")
    async with database(settings) as connection:
        await connection.execute("DROP VIEW results.sales")
        await connection.execute("CREATE TABLE results.sales (mine integer)")
    assert await DeleteStore(pool).result("default", "sales")
    assert await tables(pool) == {"sales"}
    async with database(settings) as connection:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await connection.fetch("SELECT n FROM results.sales")
