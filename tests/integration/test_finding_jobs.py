"""Lists of jobs by name, source, time and error, and changes of all that fit."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.db.jobs import JobStore
from tests.support.gateway import database, finish_job, gateway, insert_job, problem_of, spec_for
from tests.support.store import PROBLEM


async def found(http, query):
    async with http.get(f"/v1/jobs?{query}") as response:
        assert response.status == 200, await response.text()
        return [job["id"] for job in (await response.json())["items"]]


async def submitted(http, settings, file, **changes):
    source = {"uris": [settings.sources[0] + file]}
    async with http.post("/v1/jobs", json=spec_for(settings, source=source, **changes)) as response:
        assert response.status == 202, await response.text()
        return (await response.json())["id"]


async def bulk(http, order, body):
    async with http.post(f"/v1/jobs/{order}", json=body) as response:
        return response.status, await (problem_of(response) if response.status >= 400 else response.json())


async def test_jobs_are_found_by_each_filter_and_by_several(settings):
    async with gateway(settings) as http:
        sales = await submitted(http, settings, "jan%1.csv", output={"name": "sales"})
        other = await submitted(http, settings, "jan_2.csv", output={"name": "other"}, labels={"a": "b"})
        failed = await submitted(http, settings, "feb.csv")
        await finish_job(settings, failed, state="failed", error=PROBLEM)
        async with database(settings) as connection:
            await connection.execute(
                "UPDATE gristmill.jobs SET created_at = created_at - interval '1 day' WHERE id = $1", sales
            )
        hour = timedelta(hours=1)
        ago, later = ((datetime.now(UTC) + by).isoformat().replace("+", "%2B") for by in (-hour, hour))

        assert await found(http, "name=sales") == [sales]
        assert await found(http, "source=jan") == [other, sales]
        assert await found(http, "source=jan_") == [other], "a text, not a pattern"
        assert await found(http, "source=jan%25") == [sales]
        assert await found(http, f"source={settings.sources[0]}") == [failed, other, sales]
        assert await found(http, "error_code=bad_row") == [failed]
        assert await found(http, f"created_after={ago}") == [failed, other]
        assert await found(http, f"created_before={ago}") == [sales]
        assert await found(http, f"created_after={later}") == []
        assert await found(http, f"created_after={ago}&source=jan&label=a:b&state=queued&name=other") == [
            other
        ]
        assert await found(http, "source=jan&limit=1") == [other]
        assert await found(http, f"source=jan&after={other}") == [sales]


@pytest.mark.parametrize(
    "query",
    [
        "name=A",
        "source=",
        "source=a%0Ab",
        "created_after=soon",
        "created_before=2026-01-01T00:00:00",
        "error_code=X",
    ],
)
async def test_an_unreadable_filter_is_named(settings, query):
    async with gateway(settings) as http, http.get(f"/v1/jobs?{query}") as response:
        problem = await problem_of(response)
    assert problem["code"] == "invalid_parameter"
    assert problem["errors"][0]["parameter"] == query.partition("=")[0]


async def test_many_jobs_are_cancelled_and_retried_if_they_are_as_many_as_expected(settings):
    async with gateway(settings) as http:
        jobs = [await submitted(http, settings, f"{no}.csv", labels={"team": "x"}) for no in range(5)]
        kept = await submitted(http, settings, "0.csv")
        await finish_job(settings, jobs[2], state="succeeded")
        mine = {"labels": {"team": "x"}}
        for wrong in (0, 4, 6):
            status, problem = await bulk(http, "cancel", {"filter": mine, "expected": wrong})
            assert (status, problem["code"]) == (409, "unexpected_count")
            assert "matches 5 jobs" in problem["detail"]
        assert set(await found(http, "state=queued")) == {kept, *jobs} - {jobs[2]}, "nothing was changed"

        status, answer = await bulk(http, "cancel", {"filter": mine, "expected": 5})
        assert (status, answer["changed"]) == (200, 4)
        assert [item["id"] for item in answer["items"]] == jobs
        assert [item["state"] for item in answer["items"]] == [
            "cancelled", "cancelled", None, "cancelled", "cancelled"
        ]  # fmt: skip
        assert answer["items"][2]["error"]["code"] == "already_done"
        assert await found(http, "state=queued") == [kept]

        again = {"filter": mine | {"state": "cancelled", "source": ".csv"}, "expected": 4}
        status, answer = await bulk(http, "retry", again)
        assert (status, answer["changed"]) == (200, 4)
        assert set(await found(http, "state=queued")) == {kept, *jobs} - {jobs[2]}
        async with http.get(f"/v1/jobs/{jobs[0]}/history") as response:
            entries = (await response.json())["items"]
        assert [entry["event"] for entry in entries] == [
            "submitted",
            "cancel_requested",
            "cancelled",
            "retried",
        ]


async def test_a_job_that_was_cancelled_before_is_neither_changed_nor_an_error(settings):
    async with gateway(settings) as http:
        jobs = [await submitted(http, settings, f"{no}.csv") for no in range(3)]
        async with http.post(f"/v1/jobs/{jobs[1]}/cancel") as response:
            assert response.status == 202
        asked = {"filter": {}, "expected": 3}
        status, first = await bulk(http, "cancel", asked)
        _, again = await bulk(http, "cancel", asked)
    assert (status, first["changed"], again["changed"]) == (200, 2, 0)
    assert [item["changed"] for item in first["items"]] == [True, False, True]
    assert {(item["state"], item["error"]) for item in first["items"] + again["items"]} == {
        ("cancelled", None)
    }


async def test_a_changed_job_is_read_once_and_many_of_them_not_at_all(settings, monkeypatch):
    read = []
    get = JobStore.get
    monkeypatch.setattr(JobStore, "get", lambda store, *key: read.append(key[1]) or get(store, *key))
    async with gateway(settings) as http:
        jobs = [await submitted(http, settings, f"{no}.csv") for no in range(2)]
        for change, state in (
            ("pause", "paused"),
            ("resume", "queued"),
            ("cancel", "cancelled"),
            ("retry", "queued"),
        ):
            read.clear()
            async with http.post(f"/v1/jobs/{jobs[0]}/{change}") as response:
                assert (await response.json())["state"] == state
            assert read == [jobs[0]], change
        read.clear()
        async with http.patch(f"/v1/jobs/{jobs[0]}", json={"priority": 9}) as response:
            assert (await response.json())["priority"] == 9
        assert read == [jobs[0]]
        read.clear()
        assert (await bulk(http, "cancel", {"filter": {}, "expected": 2}))[1]["changed"] == 2
        assert read == []


async def test_the_units_of_a_job_that_is_done_are_not_counted_for_each_list(settings, monkeypatch):
    counted = []
    count = JobStore.progress

    async def progress(store, job_ids):
        counted.append(list(job_ids))
        return await count(store, job_ids)

    monkeypatch.setattr(JobStore, "progress", progress)
    async with gateway(settings) as http:
        done, queued = [await submitted(http, settings, "feb.csv") for _ in range(2)]
        await finish_job(settings, done, state="failed", error=PROBLEM)
        listed = [await found(http, "") for _ in range(3)]
        assert listed == [[queued, done]] * 3
        assert sum(done in ids for ids in counted) == 1
        async with http.post(f"/v1/jobs/{done}/retry") as response:
            assert response.status == 202
        await found(http, "")
        assert done in counted[-1], "a new revision is counted anew"


async def test_more_than_a_thousand_are_refused_and_another_tenants_jobs_are_not_touched(settings):
    await insert_job(settings, tenant="other")
    async with database(settings) as connection:
        await connection.execute(
            "INSERT INTO gristmill.jobs (id, spec, spec_digest)"
            " SELECT 'job_' || lpad(no::text, 26, '0'), '{}', '' FROM generate_series(1, 1001) AS no"
        )
    async with gateway(settings) as http:
        status, problem = await bulk(http, "cancel", {"filter": {}, "expected": 1000})
        assert (status, problem["code"]) == (409, "unexpected_count")
        assert "more than 1,000" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"expected": 1}, "#/filter"),
        ({"filter": {}}, "#/expected"),
        ({"filter": {}, "expected": 1001}, "#/expected"),
        ({"filter": {"stat": "queued"}, "expected": 1}, "#/filter/stat"),
        ({"filter": {"state": "gone"}, "expected": 1}, "#/filter/state"),
        ({"filter": {"created_after": "2026-01-01T00:00:00"}, "expected": 1}, "#/filter/created_after"),
    ],
)
async def test_a_mistake_in_the_body_is_named_at_its_place(settings, body, pointer):
    async with gateway(settings) as http:
        status, problem = await bulk(http, "cancel", body)
    assert (status, problem["code"]) == (422, "invalid_body")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
