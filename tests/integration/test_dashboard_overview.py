"""The overview: what a tenant sees of its queue, its last hour and its failures, and what that costs."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from api_service.auth.credentials import digest, new_key
from api_service.dashboard.overview import jobs_of
from api_service.dashboard.rendering import TEMPLATES
from api_service.services.jobs import JobService
from api_service.services.readiness import Readiness
from shared.core.overview import MINUTES, FailureGroup
from shared.db import overview as overviews
from shared.db.api_keys import ApiKeyStore
from shared.db.overview import MOST_WAITING, OverviewStore
from shared.db.pool import Pool, connect
from shared.db.statements import OVERVIEW, Statement
from shared.errors import DatabaseUnavailable
from tests.support.gateway import database, finish_job, gateway, insert_job
from tests.support.store import World

LEASE = timedelta(seconds=10)
OWNER = "o" * 40
READ = """
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, finished_at, rows_read, bytes)
VALUES ($1, 'chunk', $2, 1, 'done', 1, now() - $3::interval, $4, $5)
"""
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def world(settings):
    world = World(settings.database_url)
    yield world
    await world.pool.close()


async def overview(world, tenant: str = "default", *, with_slots: bool = True):
    return await OverviewStore(world.pool).read(tenant, lease=LEASE, with_slots=with_slots)


def problem(code: str, detail: str = "x") -> dict:
    return {"code": code, "category": "user", "retryable": False, "detail": detail, "errors": []}


async def test_each_minute_has_what_was_read_and_how_jobs_ended(settings, world):
    job, other = await insert_job(settings), await insert_job(settings, tenant="other")
    read = [(job, 0, 5, 600, 6000), (job, 1, 50, 60, 60), (job, 2, 90, 120, 1200), (job, 3, 3590, 7, 8)]
    hidden = [(job, 4, 3700, 10**6, 1), (other, 0, 5, 10**6, 1)]
    async with database(settings) as connection:
        for job_id, no, seconds, rows, size in read + hidden:
            await connection.execute(READ, job_id, no, timedelta(seconds=seconds), rows, size)
    at = datetime.now(UTC) - timedelta(minutes=2, seconds=30)
    for state in ("succeeded", "failed", "failed"):
        await finish_job(settings, await insert_job(settings), state=state, finished_at=at, started_at=at)
    minutes = (await overview(world)).minutes
    assert [minute.ago for minute in minutes] == list(reversed(range(MINUTES)))
    shown = {minute.ago: (minute.rows, minute.bytes, minute.succeeded, minute.failed) for minute in minutes}
    assert {ago: found for ago, found in shown.items() if any(found)} == {
        0: (660, 6060, 0, 0),
        1: (120, 1200, 0, 0),
        2: (0, 0, 1, 2),
        59: (7, 8, 0, 0),
    }


async def test_the_queue_has_what_waits_and_the_ages_of_the_oldest(settings, world):
    assert (await overview(world)).queue.job_waits is None
    await world.beat("w1", slots=2)
    first = await insert_job(settings)
    await insert_job(settings)
    await insert_job(settings, tenant="other")
    late = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.jobs SET created_at = now() - interval '5 min' WHERE id = $1", first
        )
        await connection.execute(
            "UPDATE gristmill.units SET not_before = now() + interval '1 min' WHERE job_id = $1", late
        )
        await connection.execute(
            "UPDATE gristmill.units SET not_before = now() - interval '2 min' WHERE job_id = $1", first
        )
    queue = (await overview(world)).queue
    assert (queue.jobs_queued, queue.units_waiting, queue.units_leased) == (3, 2, 0)
    assert timedelta(minutes=5) <= queue.job_waits < timedelta(minutes=6)
    assert timedelta(minutes=2) <= queue.unit_waits < timedelta(minutes=3)
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.units SET state = 'leased', worker = 'w1', deadline_at = now() "
            "WHERE job_id = $1",
            first,
        )
    found = await overview(world)
    assert (found.queue.units_waiting, found.queue.units_leased) == (1, 1)
    assert (found.slots.live, found.slots.slots, found.slots.busy) == (1, 2, 1)
    theirs = await overview(world, "other", with_slots=False)
    assert (theirs.queue.jobs_queued, theirs.queue.units_leased, theirs.slots) == (1, 0, None)


async def test_failures_are_grouped_by_their_code_newest_first(settings, world):
    now = datetime.now(UTC)
    for code, minutes, detail in (
        ("bad_row", 90, "older"),
        ("bad_row", 30, "newer"),
        ("source_not_found", 20, "gone"),
        ("bad_row", 60 * 24 * 8, "long ago"),
    ):
        at = now - timedelta(minutes=minutes)
        job_id = await insert_job(settings)
        failed = {"state": "failed", "error": problem(code, detail), "finished_at": at, "started_at": at}
        await finish_job(settings, job_id, **failed)
    await finish_job(
        settings, await insert_job(settings, tenant="other"), state="failed", error=problem("crashed")
    )
    groups = (await overview(world)).failures
    assert [(group.code, group.jobs, group.detail) for group in groups] == [
        ("source_not_found", 1, "gone"),
        ("bad_row", 2, "newer"),
    ]


async def test_the_page_shows_failures_and_escapes_what_they_say(settings):
    job_id = await insert_job(settings)
    await finish_job(settings, job_id, state="failed", error=problem("bad_row", SCRIPT))
    async with gateway(settings) as http:
        async with http.get("/") as response:
            assert response.status == 200
            shown = await response.text()
        path = re.search(r'href="(/jobs\?[^"]*bad_row)"', shown)[1].replace("&amp;", "&")
        async with http.get(path) as response:
            assert job_id in await response.text()
    assert SCRIPT not in shown
    assert "&lt;script&gt;" in shown
    assert "No worker lives" in shown
    assert shown.count("<tr data-ago=") == MINUTES


async def test_another_tenant_sees_its_own_numbers_and_no_workers(settings, world):
    await world.beat("w1")
    job_id = await insert_job(settings)
    await finish_job(settings, job_id, state="failed", error=problem("bad_row"))
    closed = settings.model_copy(update={"api_key": SecretStr(OWNER)})
    key = await other_tenants_key(settings)
    async with gateway(closed) as http:
        async with http.get("/", headers={"Authorization": f"Bearer {key}"}) as response:
            theirs = await response.text()
        async with http.get("/", headers={"Authorization": f"Bearer {OWNER}"}) as response:
            own = await response.text()
        async with http.get("/workers", headers={"Authorization": f"Bearer {key}"}) as response:
            assert response.status == 403
            assert "Workers serve all tenants" in await response.text()
    assert "Slots busy" in own
    assert job_id in own
    assert "Slots busy" not in theirs
    assert job_id not in theirs
    assert "/workers" not in theirs


async def other_tenants_key(settings) -> str:
    pool, key = connect(settings.database_url, name="test", size=1), new_key()
    try:
        await ApiKeyStore(pool).insert("other", "x", digest(key), scopes=["admin"])
    finally:
        await pool.close()
    return key


async def test_however_many_pages_ask_postgres_answers_once(settings, monkeypatch):
    asked = []
    read = OverviewStore.read

    async def counted(self, tenant, **options):
        asked.append(tenant)
        return await read(self, tenant, **options)

    monkeypatch.setattr(OverviewStore, "read", counted)
    async with gateway(settings) as http:

        async def ask():
            async with http.get("/") as response:
                assert response.status == 200

        await asyncio.gather(*(ask() for _ in range(50)))
    assert asked == ["default"]


async def test_minutes_that_are_not_read_whole_are_left_out(settings, world, monkeypatch):
    monkeypatch.setattr(overviews, "MOST_ENDED", 4)
    job, other = await insert_job(settings), await insert_job(settings, tenant="other")
    async with database(settings) as connection:
        for no, (job_id, seconds) in enumerate([(job, 5), (other, 70), (job, 130), (job, 190), (job, 200)]):
            await connection.execute(READ, job_id, no, timedelta(seconds=seconds), 60, 1)
    found = (await overview(world)).minutes
    assert [(minute.ago, minute.rows) for minute in found] == [(2, 60), (1, 0), (0, 60)]
    theirs = (await overview(world, "other")).minutes
    assert [(minute.ago, minute.rows) for minute in theirs] == [(2, 0), (1, 60), (0, 0)]
    async with gateway(settings) as http, http.get("/") as response:
        assert "only the last 3 minutes are shown" in await response.text()


async def test_failures_are_those_of_the_newest_jobs_of_the_tenant(settings, world, monkeypatch):
    monkeypatch.setattr(overviews, "MOST_JOBS", 2)
    for code in ("old", "new", "new"):
        await finish_job(settings, await insert_job(settings), state="failed", error=problem(code))
    await insert_job(settings, tenant="other")
    assert [(group.code, group.jobs) for group in (await overview(world)).failures] == [("new", 2)]


async def test_a_part_that_takes_too_long_is_left_out_and_the_rest_is_shown(settings, monkeypatch):
    job_id = await insert_job(settings)
    monkeypatch.setattr(overviews, "PART_SECONDS", 0.3)
    slow = "SELECT pg_sleep(60), @tenant::text, @within::interval, @among::int, @most::int"
    monkeypatch.setitem(OVERVIEW.by_name, "failures", Statement(slow))
    async with gateway(settings) as http:
        async with http.get("/") as response:
            assert response.status == 200
            page = await response.text()
        assert "Postgres took too long for the failures: this part is left out" in page
        assert "Failures of the last" not in page
        assert job_id in page


async def test_without_any_part_the_page_is_a_notice(settings, monkeypatch):
    async def late(self, *_, **__):
        raise DatabaseUnavailable("Postgres took too long to answer; try again")

    monkeypatch.setattr(Pool, "extend", late)
    monkeypatch.setattr(JobService, "newest", late)
    async with gateway(settings) as http, http.get("/") as response:
        assert response.status == 200
        page = await response.text()
    late = "the queue, the slots, the last hour, the failures, the newest jobs"
    assert f"Postgres took too long for {late}: these parts are left out" in page
    assert "<tr data-ago=" not in page


async def test_an_error_is_kept_for_some_seconds(settings, monkeypatch):
    asked = []

    async def away(self):
        asked.append(self)
        raise DatabaseUnavailable("Postgres cannot be reached; try again")

    async with gateway(settings) as http:
        monkeypatch.setattr(Readiness, "check", away)
        for _ in range(5):
            async with http.get("/") as response:
                assert response.status == 503
    assert len(asked) == 1


MANY = """
INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest, state, created_at, started_at, finished_at, error)
SELECT 'old' || lpad((10000 - i)::text, 6, '0'), CASE i % 10 WHEN 0 THEN 'other' ELSE 'default' END, '{}', '',
       CASE i % 7 WHEN 0 THEN 'failed' ELSE 'succeeded' END, now() - i * interval '10 min',
       now() - i * interval '10 min', now() - i * interval '10 min',
       CASE i % 7 WHEN 0 THEN '{"code": "bad_row", "detail": "x"}'::json END
FROM generate_series(1, 10000) i;
INSERT INTO gristmill.jobs (id, spec, spec_digest, state) VALUES ('run', '{}', '', 'running');
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, finished_at, rows_read, bytes)
SELECT j.id, 'chunk', i, 1, 'done', 1, j.finished_at, 1, 1
FROM gristmill.jobs j, generate_series(1, 80) i WHERE j.id <> 'run';
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, finished_at, rows_read, bytes)
SELECT 'run', 'chunk', i, 1, 'done', 1, now() - i * interval '1 s', 1, 1 FROM generate_series(1, 50000) i;
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version)
SELECT 'run', 'chunk', i, 1, 'pending', 1 FROM generate_series(50001, 200000) i;
ANALYZE gristmill.jobs, gristmill.units;
"""
ARGUMENTS = {
    "queue": {"tenant": "default", "most": MOST_WAITING},
    "slots": {"lease": LEASE},
    "read": {"tenant": "default", "most": 1000},
    "ended": {"tenant": "default", "most": 3},
    "failures": {"tenant": "default", "within": timedelta(days=7), "among": 500, "most": 20},
}


@pytest.mark.full
async def test_with_10_000_jobs_and_a_million_units_each_statement_reads_an_index(database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute(MANY)
    touched = {}
    for name, statement in OVERVIEW.by_name.items():
        rows = await connection.fetch(
            f"EXPLAIN (ANALYZE, TIMING OFF) {statement.sql}", *statement.arguments(ARGUMENTS[name])
        )
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan on units" not in plan, plan
        read = [
            float(rows) * int(loops) for rows, loops in re.findall(r"actual rows=([\d.]+) loops=(\d+)", plan)
        ]
        skipped = [int(count) for count in re.findall(r"Rows Removed by \w*\s?Filter: (\d+)", plan)]
        touched[name] = max(read + skipped)
    await connection.close()
    assert touched["queue"] <= MOST_WAITING
    assert touched["read"] == 1000
    assert touched["ended"] == 3
    assert touched["failures"] == 500
    assert touched["slots"] < 2000


def test_the_link_of_a_group_carries_any_code():
    group = FailureGroup(code="a&b", jobs=1, at=datetime.now(UTC), job_id="job_x", detail="")
    assert jobs_of(group) == "/jobs?state=failed&error_code=a%26b"


async def test_a_gateway_compiles_its_pages_once_it_is_ready(settings):
    TEMPLATES.cache.clear()
    async with gateway(settings), asyncio.timeout(30):
        while {name for _, name in TEMPLATES.cache} != set(TEMPLATES.list_templates()):
            await asyncio.sleep(0.02)
