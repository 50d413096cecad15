"""Cancel, pause, resume and retry over HTTP; test_units_store.py has what they do to units."""

import pytest
from redis.asyncio import Redis

from api_service import app
from shared.doorbell import REQUEST
from tests.support.gateway import database, finish_job, gateway, insert_job, problem_of, publish, spec_for
from tests.support.transitions import UNCHECKED

PROBLEM = {"code": "bad_row", "category": "source", "retryable": False, "detail": "line 7", "errors": []}


SLOW = """
CREATE FUNCTION checks.slow() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON gristmill.units FOR EACH ROW EXECUTE FUNCTION checks.slow();
"""


async def change(http, job_id: str, verb: str) -> tuple[int, str]:
    """The status, and the state or the error's code."""
    async with http.post(f"/v1/jobs/{job_id}/{verb}") as response:
        if response.status >= 400:
            return response.status, (await problem_of(response))["code"]
        assert response.headers["Location"] == f"/v1/jobs/{job_id}"
        return response.status, (await response.json())["state"]


async def units(settings, job_id: str) -> list[tuple]:
    async with database(settings) as connection:
        rows = await connection.fetch(
            "SELECT kind, state, crashes FROM gristmill.units WHERE job_id = $1 ORDER BY id", job_id
        )
    return [tuple(row) for row in rows]


async def test_a_cancelled_job_may_be_cancelled_again_but_a_finished_one_may_not(settings):
    waiting, failed = await insert_job(settings), await insert_job(settings)
    await finish_job(settings, failed, state="failed", error=PROBLEM)
    async with gateway(settings) as http:
        assert [await change(http, waiting, "cancel") for _ in range(2)] == [(202, "cancelled")] * 2
        assert await change(http, failed, "cancel") == (409, "already_done")


async def test_a_paused_job_shows_it_and_may_be_paused_again_and_resumed(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        assert [await change(http, job_id, "pause") for _ in range(2)] == [(202, "paused")] * 2
        async with http.get("/v1/jobs?state=paused") as response:
            assert [(item["id"], item["done"]) for item in (await response.json())["items"]] == [
                (job_id, False)
            ]
        assert await units(settings, job_id) == [("plan", "pending", 0)]
        assert [await change(http, job_id, "resume") for _ in range(2)] == [(202, "queued")] * 2


async def test_a_running_job_resumes_as_running(settings):
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute("UPDATE gristmill.jobs SET state = 'running', started_at = now()")
    async with gateway(settings) as http:
        assert await change(http, job_id, "pause") == (202, "paused")
        assert await change(http, job_id, "resume") == (202, "running")


async def test_a_paused_job_can_be_cancelled(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        assert await change(http, job_id, "pause") == (202, "paused")
        assert await change(http, job_id, "cancel") == (202, "cancelled")


async def test_a_failed_job_is_tried_again_with_fresh_counts(settings):
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(UNCHECKED)
        await connection.execute(
            "UPDATE gristmill.units SET state = 'failed', crashes = 3, finished_at = now()"
        )
    await finish_job(settings, job_id, state="failed", phase="planning", error=PROBLEM)
    async with gateway(settings) as http:
        assert await change(http, job_id, "retry") == (202, "running")
        async with http.get(f"/v1/jobs/{job_id}") as response:
            job = await response.json()

    assert (job["done"], job["error"], job["timing"]["finished_at"]) == (False, None, None)
    assert await units(settings, job_id) == [("plan", "pending", 0)]


@pytest.mark.parametrize(
    ("state", "verb", "answer"),
    [
        ("succeeded", "pause", (409, "already_done")),
        ("failed", "pause", (409, "already_done")),
        ("cancelled", "resume", (409, "already_done")),
        ("succeeded", "retry", (409, "already_done")),
        ("running", "retry", (409, "invalid_state")),
        ("queued", "retry", (409, "invalid_state")),
        ("paused", "retry", (409, "invalid_state")),
        ("cancelling", "pause", (409, "invalid_state")),
        ("cancelling", "resume", (409, "invalid_state")),
        ("cancelling", "retry", (409, "invalid_state")),
    ],
)
async def test_a_change_that_does_not_fit_the_state_is_refused_and_changes_nothing(
    settings, state, verb, answer
):
    job_id = await insert_job(settings)
    if state in {"succeeded", "failed", "cancelled"}:
        await finish_job(settings, job_id, state=state)
    else:
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.jobs SET state = $1", state)
    async with gateway(settings) as http:
        assert await change(http, job_id, verb) == answer
        async with http.get(f"/v1/jobs/{job_id}") as response:
            assert (await response.json())["state"] == state


@pytest.mark.parametrize("phase", ["planning", "scanning", "merging"])
async def test_a_job_whose_file_changed_is_not_tried_again(settings, phase):
    job_id = await insert_job(settings)
    await finish_job(
        settings, job_id, state="failed", phase=phase, error=PROBLEM | {"code": "source_changed"}
    )
    async with gateway(settings) as http:
        assert await change(http, job_id, "retry") == (409, "retry_expired")


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
async def test_unknown_ids_and_other_tenants_ids_are_not_found_and_untouched(settings, verb):
    done = await publish(settings, {"k": "string"}, [("a",)], name="theirs", tenant="other")
    live = await insert_job(settings, tenant="other")
    async with gateway(settings) as http:
        for job_id in (done, live, "job_x"):
            assert await change(http, job_id, verb) == (404, "not_found")
        async with http.post(f"/v1/jobs/{live}/{verb}?force=true") as response:
            assert (response.status, (await problem_of(response))["code"]) == (422, "invalid_parameter")
    async with database(settings) as connection:
        assert await connection.fetchval("SELECT state FROM gristmill.jobs WHERE id = $1", live) == "queued"


@pytest.mark.parametrize("verb", ["resume", "retry"])
async def test_a_job_that_goes_on_is_heard_by_the_doorbell(settings, verb):
    job_id = await insert_job(settings)
    if verb == "retry":
        await finish_job(settings, job_id, state="failed", phase="planning", error=PROBLEM)
    async with Redis.from_url(settings.redis_url) as redis, gateway(settings) as http:
        assert (await change(http, job_id, verb))[0] == 202
        assert await redis.bzpopmin(REQUEST, timeout=5)


async def test_a_deadline_is_shown_as_the_moment_it_passes(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=spec_for(settings, options={"deadline": "1h"})) as response:
            timing = (await response.json())["timing"]
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            assert (await response.json())["timing"]["deadline_at"] is None
    async with database(settings) as connection:
        passed = "SELECT $1::text::timestamptz - $2::text::timestamptz = '1 h'"
        assert await connection.fetchval(passed, timing["deadline_at"], timing["created_at"])


async def test_a_change_of_a_job_with_many_units_may_take_longer_than_other_answers(settings, monkeypatch):
    monkeypatch.setattr(app, "ANSWER_SECONDS", 1.0)
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(SLOW)
    async with gateway(settings) as http:
        assert await change(http, job_id, "cancel") == (202, "cancelled")
        assert await change(http, job_id, "retry") == (202, "queued")
