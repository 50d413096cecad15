"""The table behind the rows of a URL: of a job, of a named result's version, or none; streams that break."""

import aiohttp
import pytest

from tests.support.gateway import (
    all_names,
    database,
    finish_job,
    gateway,
    insert_job,
    problem_of,
    publish,
    rows_of,
)


async def test_a_named_result_is_read_by_name_and_by_version(settings):
    await publish(settings, {"n": "int64"}, [(1,), (2,)], name="sales")
    await publish(settings, {"n": "int64"}, [(3,)], name="sales")
    async with gateway(settings) as http:
        assert (await rows_of(http, "/v1/results/sales/rows"))["version"] == 2
        assert await all_names(http, "/v1/results/sales/rows?version=1") == [1, 2]
        async with http.get("/v1/results/sales/rows?version=3") as response:
            assert (response.status, (await problem_of(response))["code"]) == (404, "not_found")
        async with http.get("/v1/results/sales") as response:
            result = await response.json()
        async with http.get("/v1/results") as response:
            assert (await response.json()) == {"items": [result], "next": None}

    assert (result["name"], result["version"], result["current"], result["rows"], result["relation"]) == (
        "sales",
        2,
        True,
        1,
        "results.sales",
    )


async def test_a_cursor_walks_the_version_that_it_began_with_until_that_is_gone(settings):
    first = await publish(settings, {"n": "int64"}, [(1,), (2,), (3,)], name="sales")
    async with gateway(settings) as http:
        after = (await rows_of(http, "/v1/results/sales/rows?limit=1"))["next"]
        await publish(settings, {"n": "int64"}, [(9,), (9,)], name="sales")
        page = await rows_of(http, f"/v1/results/sales/rows?limit=1&after={after}")
        assert ([item["n"] for item in page["items"]], page["version"]) == ([2], 1)
        async with http.get(f"/v1/results/sales/rows?version=2&after={after}") as response:
            assert (response.status, (await problem_of(response))["code"]) == (400, "invalid_cursor")

        async with database(settings) as connection:
            await connection.execute("DELETE FROM gristmill.versions WHERE job_id = $1", first)
            await connection.execute(f"DROP TABLE gristmill_results.{first} CASCADE")
        async with http.get(f"/v1/results/sales/rows?after={after}") as response:
            assert (response.status, (await problem_of(response))["code"]) == (410, "cursor_expired")
        for query in ("", "?format=csv"):
            async with http.get(f"/v1/jobs/{first}/rows{query}") as response:
                assert (response.status, (await problem_of(response))["code"]) == (410, "result_expired")


async def test_rows_of_a_job_without_rows_say_why(settings):
    running, failed, cancelled = [await insert_job(settings) for _ in range(3)]
    await finish_job(
        settings,
        failed,
        state="failed",
        error={"code": "bad_row", "category": "source", "retryable": False, "detail": "", "errors": []},
    )
    await finish_job(settings, cancelled, state="cancelled")
    async with gateway(settings) as http:
        for job_id, code in ((running, "not_ready"), (failed, "no_result"), (cancelled, "no_result")):
            async with http.get(f"/v1/jobs/{job_id}/rows") as response:
                assert (response.status, (await problem_of(response))["code"]) == (409, code)


async def test_a_csv_that_breaks_in_the_middle_is_cut_off(settings):
    job_id = await publish(settings, {"s": "string"}, [("x" * 1000,)] * 60_000)
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{job_id}/rows?format=csv") as response:
            assert response.status == 200
            await response.content.readexactly(1000)
            async with database(settings) as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'gristmill-streams'"
                )
            with pytest.raises((aiohttp.ClientPayloadError, ConnectionResetError)):
                await response.read()
        async with http.get(f"/v1/jobs/{job_id}/rows?limit=1") as response:
            assert response.status == 200
