"""Watching jobs over HTTP: ETags, waiting, and the queries that a crowd of clients causes.

SQL plays the workers.
"""

import asyncio
import re
import time
from itertools import pairwise

import aiohttp
import pytest

from api_service.server import serving
from api_service.services import jobs, watching
from shared.db.jobs import JobStore
from tests.support.gateway import (
    database,
    finish_job,
    gateway,
    insert_job,
    publish,
    requests_under_way,
    spec_for,
)

PROBLEM = {"code": "bad_row", "category": "source", "retryable": False, "detail": "line 7", "errors": []}
MANY_JOBS = """
INSERT INTO gristmill.jobs (id, state, phase, spec, spec_digest)
SELECT 'job_' || lpad(no::text, 26, '0'), 'running', 'scanning', '{}', '' FROM generate_series(1, 200) no
RETURNING id
"""


@pytest.fixture
def asked(monkeypatch) -> dict[str, int]:
    """How often Postgres answered each question about jobs."""
    counts = dict.fromkeys(("get", "look", "progress", "standing"), 0)

    def counted(name: str, question):
        async def ask(*args):
            answer = await question(*args)
            counts[name] += 1
            return answer

        return ask

    for name in counts:
        monkeypatch.setattr(JobStore, name, counted(name, getattr(JobStore, name)))
    return counts


async def scanning_job(settings) -> str:
    """A running job with one chunk."""
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.jobs SET state = 'running', phase = 'scanning' WHERE id = $1", job_id
        )
        await connection.execute("UPDATE gristmill.units SET kind = 'chunk' WHERE job_id = $1", job_id)
    return job_id


async def read(http, job_id: str, **headers: str) -> tuple[int, str, dict]:
    """Status, ETag and document (empty with a 304)."""
    async with http.get(
        f"/v1/jobs/{job_id}", headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as response:
        return (
            response.status,
            response.headers["ETag"],
            await response.json() if response.status == 200 else {},
        )


async def test_an_unchanged_job_is_not_sent_again_and_a_changed_one_is(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        _, tag, _ = await read(http, job_id)
        assert re.fullmatch(r'W/"[^"]+"', tag)
        assert await read(http, job_id, If_None_Match=f'"x", {tag}') == (304, tag, {})
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.units SET rows_read = 5")
        async with asyncio.timeout(5):
            while (answer := await read(http, job_id, If_None_Match=tag))[0] == 304:
                await asyncio.sleep(0.01)
        assert answer[2]["progress"]["rows"]["read"] == 5
        await finish_job(settings, job_id, state="cancelled")
        async with asyncio.timeout(5):
            while (again := await read(http, job_id, If_None_Match=answer[1]))[0] == 304:
                await asyncio.sleep(0.01)
        assert again[2]["state"] == "cancelled"


async def test_the_etag_of_a_busy_job_changes_at_most_four_times_a_second(settings):
    job_id = await scanning_job(settings)
    changes: list[float] = []
    async with gateway(settings) as http, database(settings) as connection:

        async def work() -> None:
            while True:
                await connection.execute("UPDATE gristmill.units SET rows_read = rows_read + 1")

        worker = asyncio.create_task(work())
        last = ""
        while len(changes) < 6:
            _, tag, _ = await read(http, job_id)
            if tag != last:
                changes.append(time.monotonic())
                last = tag
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    assert (
        min(later - earlier for earlier, later in pairwise(changes)) > 0.2
    )  # a quarter of a second, seen through some delay


async def test_a_hundred_clients_that_poll_ask_postgres_no_more_often_than_one(settings, asked):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        started = time.monotonic()

        async def poll() -> None:
            for _ in range(10):
                assert (await read(http, job_id))[0] == 200

        await asyncio.gather(*(poll() for _ in range(100)))
        seconds = time.monotonic() - started

    assert 1 <= asked["look"] <= seconds / 0.05 + 1
    assert asked["get"] == 1


async def test_two_hundred_waiting_requests_cost_one_query_a_look_and_learn_of_the_change_at_once(
    settings, asked
):
    async with database(settings) as connection:
        rows = await connection.fetch(MANY_JOBS)
    ids = [row["id"] for row in rows]
    connector = aiohttp.TCPConnector(limit=0)
    async with serving(settings) as url, aiohttp.ClientSession(base_url=url, connector=connector) as http:
        started = time.monotonic()
        waiting = [asyncio.create_task(read(http, job_id, Prefer="wait=30")) for job_id in ids]
        async with asyncio.timeout(30):
            while asked["get"] < len(ids):
                await asyncio.sleep(0.01)
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.jobs SET phase = 'merging', revision = revision + 1")
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*waiting)
        seconds = time.monotonic() - started

    assert {answer[2]["phase"] for answer in answers} == {"merging"}
    assert 1 <= asked["standing"] <= seconds / watching.TICK


async def test_waiting_requests_whose_clients_go_away_are_forgotten(settings, monkeypatch):
    monkeypatch.setattr(jobs, "PRESENT_SECONDS", 0.1)
    job_id = await insert_job(settings)
    async with gateway(settings) as http, asyncio.timeout(20):
        url = http._base_url
        writers = [(await asyncio.open_connection(url.host, url.port))[1] for _ in range(20)]
        for writer in writers:
            writer.write(
                f"GET /v1/jobs/{job_id} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n\r\n".encode()
            )
        while requests_under_way() < len(writers):
            await asyncio.sleep(0.01)
        for writer in writers:
            writer.close()
        while requests_under_way():
            await asyncio.sleep(0.01)


async def test_a_client_that_changed_a_job_reads_what_it_made_of_it(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        for change, state in (
            ("pause", "paused"),
            ("resume", "queued"),
            ("pause", "paused"),
            ("cancel", "cancelled"),
        ):
            assert (await read(http, job_id))[0] == 200
            async with http.post(f"/v1/jobs/{job_id}/{change}") as response:
                assert response.status == 202
            assert (await read(http, job_id))[2]["state"] == state


async def test_a_submit_that_waits_answers_as_soon_as_the_job_is_done(settings):
    async with gateway(settings) as http:

        async def play_the_worker() -> None:
            async with database(settings) as connection:
                while (job_id := await connection.fetchval("SELECT id FROM gristmill.jobs")) is None:
                    await asyncio.sleep(0.01)
            await finish_job(settings, job_id, state="failed", error=PROBLEM)

        worker = asyncio.create_task(play_the_worker())
        async with http.post(
            "/v1/jobs", json=spec_for(settings), headers={"Prefer": "respond-async, wait=600"}
        ) as response:
            job = await response.json()
        await worker

    assert (response.status, response.headers["Preference-Applied"]) == (200, "wait=60")
    assert (job["state"], job["error"], job["done"]) == ("failed", PROBLEM, True)
    assert "Retry-After" not in response.headers


async def test_a_submit_that_waits_in_vain_is_accepted_after_the_wait(settings):
    async with gateway(settings) as http:
        started = time.monotonic()
        async with http.post("/v1/jobs", json=spec_for(settings), headers={"Prefer": "wait=1"}) as response:
            assert (response.status, response.headers["Preference-Applied"]) == (202, "wait=1")
        assert time.monotonic() - started >= 1


async def test_a_read_that_waits_answers_on_a_change_of_phase(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:

        async def read() -> str:
            async with http.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=30"}) as response:
                return (await response.json())["phase"]

        waiting = asyncio.create_task(read())
        async with http.get(f"/v1/jobs/{job_id}"):
            assert not waiting.done()
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.jobs SET phase = 'scanning', revision = revision + 1")
        assert await asyncio.wait_for(waiting, 5) == "scanning"


async def test_stopping_the_gateway_answers_the_waiting_requests(settings):
    job_id = await insert_job(settings)
    sent = asyncio.Event()
    trace = aiohttp.TraceConfig()

    async def note(*_) -> None:
        sent.set()

    trace.on_request_headers_sent.append(note)
    async with asyncio.timeout(8), aiohttp.ClientSession(trace_configs=[trace]) as http:
        async with serving(settings) as url:

            async def read() -> int:
                async with http.get(f"{url}/v1/jobs/{job_id}", headers={"Prefer": "wait=60"}) as response:
                    return response.status

            waiting = asyncio.create_task(read())
            await sent.wait()
            async with http.get(f"{url}/livez"):
                assert not waiting.done()
        assert await waiting == 200


async def test_a_succeeded_job_shows_its_result_and_where_the_time_went(settings):
    first = await publish(settings, {"k": "string", "n": "int64"}, [("a", 1)], name="sales")
    second = await publish(settings, {"k": "string", "n": "int64"}, [("a", 2)], name="sales")
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{second}") as response:
            job = await response.json()
        async with http.get(f"/v1/jobs/{first}") as response:
            assert (await response.json())["result"]["current"] is False
        async with http.get("/v1/jobs") as response:
            assert [item["result"]["current"] for item in (await response.json())["items"]] == [True, False]

    assert job["result"] == {
        "name": "sales",
        "version": 2,
        "current": True,
        "deleted": False,
        "relation": "results.sales",
        "rows": 1,
        "digest": "sha256:0",
        "columns": [{"name": "k", "type": "string"}, {"name": "n", "type": "int64"}],
        "expires_at": None,
    }
    assert (job["progress"]["fraction"], job["done"], job["state"]) == (1.0, True, "succeeded")
    assert {key for key in job["timing"] if key.endswith("_ms")} == {
        "queue_ms",
        "plan_ms",
        "scan_ms",
        "merge_ms",
        "publish_ms",
    }


@pytest.mark.parametrize("errors", [1, 1000])
async def test_a_waiting_request_learns_of_the_end_though_the_watcher_fails(settings, monkeypatch, errors):
    """One bug does not end the watcher, and with a lasting one the last read still tells the state."""
    look, left = JobStore.standing, [RuntimeError("a bug")] * errors

    async def failing(store: JobStore, job_ids: list[str]) -> dict:
        if left:
            raise left.pop()
        return await look(store, job_ids)

    monkeypatch.setattr(JobStore, "standing", failing)
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        waiting = asyncio.create_task(read(http, job_id, Prefer="wait=3"))
        async with asyncio.timeout(5):
            while len(left) == errors:
                await asyncio.sleep(0.01)
        await finish_job(settings, job_id, state="failed", error=PROBLEM)
        assert (await waiting)[2]["state"] == "failed"
