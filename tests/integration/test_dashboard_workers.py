"""The page of workers, and the button that drains one. The stores play the workers."""

import pytest
from pydantic import SecretStr

from shared.core.workers import Usage
from tests.support.gateway import gateway
from tests.support.store import World

OWNER = "w" * 40


@pytest.fixture
async def world(settings):
    world = World(settings.database_url)
    yield world
    await world.pool.close()


async def beat(world, worker: str, host: str) -> None:
    await world.workers.beat(
        worker, host=host, pid=7, version="1.2", slots=3, able=2, draining=False,
        usage=Usage(rss_bytes=5 * 2**20, cpu_seconds=1.0, cpu_cores=0.25),
    )  # fmt: skip


async def shown(http, path: str = "/workers", **options) -> str:
    async with http.get(path, **options) as response:
        assert response.status == 200, await response.text()
        return await response.text()


async def test_a_worker_is_shown_with_its_units_and_its_use(settings, world):
    await beat(world, "wrk_a", "<b>host</b>")
    lease = await world.leased("wrk_a")
    await beat(world, "wrk_a", "h")
    async with gateway(settings) as http:
        page = await shown(http)
    assert "&lt;b&gt;host&lt;/b&gt;" in page
    assert f'plan 0 of <a href="/jobs/{lease.job_id}"' in page
    for part in ("1 of 2", "1 cannot work", "5.0 MiB", "0.25", "version 1.2", "live"):
        assert part in page, part


async def test_the_button_drains_that_worker_and_the_page_says_so(settings, world):
    await beat(world, "wrk_a", "one")
    await beat(world, "wrk_b", "two")
    async with gateway(settings) as http:
        async with http.post("/workers/wrk_a/drain", data={"csrf": ""}, allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/workers"
        page = await shown(http)
    assert page.count('class="state draining"') == 1
    assert 'action="/workers/wrk_a/drain"' not in page
    assert 'action="/workers/wrk_b/drain"' in page


@pytest.mark.parametrize(("worker", "status"), [("wrk_none", 404), ("wrk_gone", 409)])
async def test_a_worker_that_is_not_there_is_told(settings, world, worker, status):
    await beat(world, "wrk_gone", "one")
    async with world.pool.connection() as connection:
        await connection.execute("UPDATE gristmill.workers SET seen_at = now() - interval '1 h'")
    async with gateway(settings) as http:
        async with http.post(f"/workers/{worker}/drain", data={"csrf": ""}) as response:
            assert response.status == status
            assert worker in await response.text()
        assert "gone" in await shown(http)


async def test_without_workers_the_page_says_how_to_start_one(settings):
    async with gateway(settings) as http:
        assert "gristmill server worker" in await shown(http)


async def test_a_key_that_does_not_administer_sees_no_workers(settings):
    closed = settings.model_copy(update={"api_key": SecretStr(OWNER)})
    async with gateway(closed) as http:
        owner = {"Authorization": f"Bearer {OWNER}"}
        async with http.post("/v1/keys", json={"scopes": ["submit"]}, headers=owner) as response:
            key = (await response.json())["key"]
        for method, path in (("GET", "/workers"), ("POST", "/workers/wrk_a/drain")):
            async with http.request(method, path, headers={"Authorization": f"Bearer {key}"}) as response:
                assert response.status == 403
                assert response.content_type == "text/html"
        assert 'href="/workers"' not in await shown(http, "/", headers={"Authorization": f"Bearer {key}"})


async def test_many_workers_are_shown_in_pages(settings, world):
    async with world.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO gristmill.workers (id, host, pid, version, slots) "
            "SELECT 'wrk_' || lpad(i::text, 4, '0'), 'h', 1, '0', 2 FROM generate_series(1, 101) i"
        )
    async with gateway(settings) as http:
        assert 'href="/workers?after=wrk_0100"' in await shown(http)
        second = await shown(http, "/workers?after=wrk_0100")
        assert 'id="wrk_0101"' in second
        assert 'hx-get="/workers?after=wrk_0100"' in second
