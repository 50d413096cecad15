"""The events of a job over HTTP: what comes, when it ends, and what many or slow readers cost.

SQL plays the workers.
"""

import asyncio
import json
import re
import time
from itertools import pairwise

import aiohttp
import pytest

from api_service.auth.authenticator import OWNER
from api_service.auth.rights import Caller
from api_service.handlers import bodies
from api_service.handlers import following as handler
from api_service.server import serving
from shared.db.jobs import JobStore
from shared.errors import DatabaseUnavailable, Unauthorized
from tests.integration.test_gateway_watching import asked, read, scanning_job  # noqa: F401  # a fixture
from tests.support.event_stream import events, until
from tests.support.gateway import database, finish_job, gateway, insert_job, problem_of, requests_under_way

STATES = 30
TURN = """
UPDATE gristmill.jobs
SET phase = CASE phase WHEN 'merging' THEN 'scanning' ELSE 'merging' END, revision = revision + 1
WHERE id = $1 RETURNING revision"""
STREAM = aiohttp.ClientTimeout(total=20)
WARNINGS = [{"code": "empty_file", "detail": "a"}, {"code": "empty_file", "detail": "b"}]


def stream_of(http, job_id: str, **headers: str):
    return http.get(f"/v1/jobs/{job_id}/events", headers=headers, timeout=STREAM)


async def change(settings, job_id: str, assignments: str, *values) -> None:
    async with database(settings) as connection:
        await connection.execute(
            f"UPDATE gristmill.jobs SET {assignments}, revision = revision + 1 WHERE id = $1", job_id, *values
        )


async def test_a_stream_tells_the_state_the_progress_the_warnings_and_the_end(settings):
    job_id = await scanning_job(settings)
    plan = {"files": [], "schema": [], "bytes": 0, "warnings": WARNINGS[:1]}
    await change(settings, job_id, "plan = $2", plan)
    async with gateway(settings) as http, stream_of(http, job_id) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        coming = events(response)
        first = await anext(coming)
        _, _, document = await read(http, job_id)
        assert (first.name, first.id) == ("state", str(document["revision"]))
        assert set(document) - set(first.data) == {"spec"}
        assert (first.data["phase"], first.data["warnings"]) == ("scanning", WARNINGS[:1])

        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.units SET rows_read = 5")
        progress = await anext(coming)
        assert (progress.name, progress.id) == ("progress", first.id)
        assert set(progress.data) == {"id", "revision", "progress", "timing"}
        assert progress.data["progress"]["rows"]["read"] == 5

        await change(settings, job_id, "plan = $2", plan | {"warnings": WARNINGS})
        seen = [event async for event in _before(coming, "state")]
        assert [event.data for event in seen if event.name == "warning"] == WARNINGS[1:]
        assert seen[-1].data["warnings"] == WARNINGS

        await finish_job(settings, job_id, state="cancelled")
        last = [event async for event in coming]
        assert (last[-1].name, last[-1].data["state"], last[-1].data["done"]) == ("done", "cancelled", True)
        assert int(last[-1].id) == last[-1].data["revision"] > int(seen[-1].id)
        assert [event.name for event in last].count("done") == 1


async def _before(coming, name: str):
    async for event in coming:
        yield event
        if event.name == name:
            return


async def test_the_beginning_says_when_to_come_back_and_a_comment_keeps_the_connection(settings, monkeypatch):
    monkeypatch.setattr(handler, "PING_SECONDS", 0.05)
    job_id = await insert_job(settings)
    async with gateway(settings) as http, stream_of(http, job_id) as response:
        text = b""
        while text.count(b": ping\n\n") < 3:
            text += await response.content.readany()

    assert text.startswith(b"retry: 2000\n\nid: 1\nevent: state\ndata: {")
    assert text.count(b"event:") == 1


async def test_a_client_that_comes_back_gets_the_present_state_and_after_the_end_is_told_to_stop(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        async with stream_of(http, job_id) as response:
            first = await anext(events(response))
        await change(settings, job_id, "state = 'paused'")
        async with stream_of(http, job_id, **{"Last-Event-ID": first.id}) as response:
            async with asyncio.timeout(5):
                while (again := await anext(events(response))).data["state"] != "paused":
                    pass
        assert again.name == "state"
        await finish_job(settings, job_id, state="cancelled")
        async with stream_of(http, job_id, **{"Last-Event-ID": again.id}) as response:
            *_, done = [event async for event in events(response)]
        assert done.name == "done"
        async with stream_of(http, job_id, **{"Last-Event-ID": done.id}) as response:
            assert (response.status, await response.read()) == (204, b"")


@pytest.mark.parametrize("tenant", [None, "other"])
async def test_a_job_that_is_not_there_is_a_problem_before_the_stream_begins(settings, tenant):
    job_id = await insert_job(settings, tenant=tenant) if tenant else "job_" + "0" * 26
    async with gateway(settings) as http, stream_of(http, job_id) as response:
        problem = await problem_of(response)
        assert (problem["status"], problem["code"]) == (404, "not_found")
        assert job_id in problem["detail"]


async def test_a_job_that_is_deleted_ends_its_streams(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http, stream_of(http, job_id) as response:
        coming = events(response)
        await anext(coming)
        async with database(settings) as connection:
            await connection.execute("DELETE FROM gristmill.jobs")
        assert [event.name async for event in coming] == []


async def test_many_streams_and_pollers_of_a_job_cost_as_many_queries_as_one(settings, asked):  # noqa: F811
    job_id = await scanning_job(settings)
    connector = aiohttp.TCPConnector(limit=0)
    async with serving(settings) as url, aiohttp.ClientSession(base_url=url, connector=connector) as http:
        responses = await asyncio.gather(*(stream_of(http, job_id) for _ in range(50)))
        coming = [events(response) for response in responses]
        await asyncio.gather(*map(anext, coming))
        await asyncio.sleep(1.5)  # looks are more frequent in the second after a change
        before, started = asked.copy(), time.monotonic()
        polls = 0
        while time.monotonic() < started + 1.5:
            assert (await read(http, job_id))[0] == 200
            polls += 1
        seconds = time.monotonic() - started
        spent = {name: asked[name] - before[name] for name in asked}
        for response in responses:
            response.close()

    assert polls > 20
    assert spent["get"] == 0
    # Either query may come once more, at an end of the time.
    assert 1 <= spent["look"] + spent["standing"] <= seconds / 0.25 + 2


async def test_progress_comes_at_most_four_times_a_second_and_a_change_of_state_at_once(settings):
    job_id = await scanning_job(settings)
    times, stop = [], asyncio.Event()
    async with (
        gateway(settings) as http,
        database(settings) as connection,
        stream_of(http, job_id) as response,
    ):

        async def work() -> None:
            while not stop.is_set():
                await connection.execute("UPDATE gristmill.units SET rows_read = rows_read + 1")

        worker = asyncio.create_task(work())
        async for event in events(response):
            if event.name == "progress":
                times.append(time.monotonic())
            if len(times) == 6:
                break
        stop.set()
        await worker

    assert min(later - earlier for earlier, later in pairwise(times)) > 0.2


async def test_a_slow_reader_gets_the_newest_state_and_costs_no_memory_and_delays_no_other(settings):
    """It reads nothing while the job goes through many large states."""
    job_id = await scanning_job(settings)
    await change(settings, job_id, "labels = $2", {"a": "x" * 300_000})
    async with (
        gateway(settings) as http,
        database(settings) as connection,
        stream_of(http, job_id) as quick,
    ):
        url = http._base_url
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
        writer.transport.pause_reading()
        writer.write(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        coming = events(quick)
        for _ in range(STATES):
            revision = await connection.fetchval(TURN, job_id)
            async for event in coming:
                if int(event.id) >= revision:
                    break
        await finish_job(settings, job_id, state="cancelled")
        await until(quick, "done")
        writer.transport.resume_reading()
        text = await _rest(reader)
        writer.close()

    ids = [int(each) for each in re.findall(rb"^id: (\d+)$", text, re.MULTILINE)]
    assert ids == sorted(ids)
    assert len(ids) < STATES
    assert text.count(b"event: done") == 1
    assert json.loads(re.findall(rb"event: done\ndata: (.*)\n", text)[0])["state"] == "cancelled"


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """A body in chunks, without the sizes of the chunks."""
    text = b""
    await reader.readuntil(b"\r\n\r\n")
    while size := int(await reader.readline(), 16):
        text += await reader.readexactly(size)
        await reader.readexactly(2)
    return text


async def test_a_reader_that_takes_nothing_is_cut_off(settings, monkeypatch):
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 0.3)
    job_id = await scanning_job(settings)
    await change(settings, job_id, "labels = $2", {"a": "x" * 8_000_000})
    async with gateway(settings) as http, asyncio.timeout(15):
        url = http._base_url
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.transport.pause_reading()
        writer.write(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while not requests_under_way():
            await asyncio.sleep(0.01)
        while requests_under_way():
            await asyncio.sleep(0.01)
        writer.close()


async def test_streams_whose_clients_go_away_are_forgotten(settings, monkeypatch):
    monkeypatch.setattr(handler, "PRESENT_SECONDS", 0.1)
    job_id = await insert_job(settings)
    async with gateway(settings) as http, asyncio.timeout(15):
        responses = [await stream_of(http, job_id) for _ in range(20)]
        for response in responses:
            response.close()
        while requests_under_way():
            await asyncio.sleep(0.01)


async def test_stopping_the_gateway_ends_its_streams_at_once(settings):
    job_id = await insert_job(settings)
    async with aiohttp.ClientSession() as http:
        async with serving(settings) as url:
            response = await http.get(f"{url}/v1/jobs/{job_id}/events")
            coming = events(response)
            await anext(coming)
            stopping = time.monotonic()
        assert [event async for event in coming] == []
        assert time.monotonic() - stopping < 4


@pytest.mark.parametrize(
    ("error", "ends"), [(Unauthorized("revoked"), True), (DatabaseUnavailable("away"), False)]
)
async def test_a_revoked_key_ends_a_stream_and_an_outage_does_not(settings, monkeypatch, error, ends):
    monkeypatch.setattr(handler, "CHECK_SECONDS", 0.2)
    key = "k" * 40
    keyed = settings.model_copy(update={"api_key": type(settings).model_fields["api_key"].default})
    job_id = await scanning_job(settings)
    async with serving(keyed) as url, aiohttp.ClientSession(base_url=url) as http:
        app_headers = {"Authorization": f"Bearer {key}"}
        good = True

        async def caller(_self, _key: str) -> Caller:
            if not good:
                raise error
            return OWNER

        async def needs_key(_self) -> bool:
            return True

        monkeypatch.setattr("api_service.auth.authenticator.Authenticator.caller", caller)
        monkeypatch.setattr("api_service.auth.authenticator.Authenticator.needs_key", needs_key)
        async with stream_of(http, job_id, **app_headers) as response:
            coming = events(response)
            await anext(coming)
            good = False
            if not ends:
                await asyncio.sleep(0.5)
                await finish_job(settings, job_id, state="cancelled")
            names = [event.name async for event in coming]

    assert ("done" in names) is not ends


async def test_a_stream_survives_an_outage_of_postgres(settings, monkeypatch):
    job_id = await scanning_job(settings)
    look, away = JobStore.look, True

    async def looking(store: JobStore, ids: list[str]):
        if away:
            raise DatabaseUnavailable("away")
        return await look(store, ids)

    async with gateway(settings) as http, stream_of(http, job_id) as response:
        coming = events(response)
        await anext(coming)
        monkeypatch.setattr(JobStore, "look", looking)
        await finish_job(settings, job_id, state="cancelled")
        await asyncio.sleep(0.6)
        away = False
        assert [event.name async for event in coming][-1] == "done"


async def test_a_head_request_gets_the_headers_only(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http, http.head(f"/v1/jobs/{job_id}/events", timeout=STREAM) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
