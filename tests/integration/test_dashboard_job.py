"""The page of a job: its content, its rights, its live stream and its strip of chunks.

SQL plays the workers.
"""

import asyncio
import gc
import html
import json
import re
from collections import Counter
from datetime import timedelta

import pytest

from api_service.auth.sessions import token
from api_service.dashboard import job, live
from api_service.services import job_pages, jobs
from api_service.services.jobs import JobService
from shared.db.jobs import JobStore
from shared.db.pool import connect
from shared.db.strips import StripStore
from tests.integration.test_dashboard_signing import (  # noqa: F401  # a fixture
    as_session,
    closed,
    make_key,
    origin,
    sign_in,
)
from tests.integration.test_gateway_events import change
from tests.integration.test_gateway_live import MANY_UNITS
from tests.integration.test_gateway_watching import scanning_job
from tests.support.gateway import database, finish_job, gateway, insert_job, publish
from tests.support.shown import run

SCRIPT = "<script>alert(1)</script>"
PROBLEM = {
    "code": "bad_row",
    "category": "source",
    "retryable": False,
    "detail": f"a.csv, line 7: {SCRIPT} is no int64",
    "errors": [
        {
            "detail": "is no int64",
            "uri": f"file:///data/{SCRIPT}.csv",
            "byte": 1234,
            "line": 7,
            "column": f"price{SCRIPT}",
            "value": SCRIPT,
        }
    ],
}
CHUNKS = """
INSERT INTO gristmill.units
    (job_id, kind, no, epoch, state_version, state, attempt, worker, leased_at, finished_at)
SELECT $1, 'chunk', no, 1, 1, (ARRAY['done', 'done', 'pending', 'failed', 'cancelled'])[no * no % 5 + 1],
       no % 4, 'wrk_' || lpad(no::text, 10, '0'), now() - interval '2 s', now() - interval '1 s'
FROM generate_series(0, $2::integer - 1) no
"""


async def shown(http, path: str, **headers: str) -> str:
    async with http.get(path, headers=headers) as response:
        text = await response.text()
        assert response.status == 200, text
        assert response.content_type == "text/html"
        return text


async def press(http, path: str, headers: dict[str, str] | None = None, **fields: str):
    return await http.post(path, data=fields, headers=headers or {}, allow_redirects=False)


async def test_a_running_job_shows_its_state_its_buttons_and_its_progress(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
        assert f'<code id="job-id">{job_id}</code>' in page
        assert 'data-copy="job-id"' in page
        assert '<span class="state running">running</span>' in page
        assert set(re.findall(rf'action="/jobs/{job_id}/(\w+)"', page)) == {"cancel", "pause"}
        assert f'href="/new?from={job_id}"' in page
        assert f'hx-sse:connect="/jobs/{job_id}/live?revision=' in page
        assert page.count("Chunk") > 0
        for part in ("", "/units", "/history", "/quarantine"):
            async with http.get(re.search(rf'"(/v1/jobs/{job_id}{part})"', page)[1]) as response:
                assert response.status == 200


async def test_the_buttons_change_the_job_and_come_back_to_its_page(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        for name, state, then in (
            ("pause", "paused", {"cancel", "resume"}),
            ("resume", "running", {"cancel", "pause"}),
            ("cancel", "cancelled", {"retry"}),
        ):
            response = await press(http, f"/jobs/{job_id}/{name}")
            assert response.status == 303, await response.text()
            assert response.headers["Location"] == f"/jobs/{job_id}"
            page = await shown(http, f"/jobs/{job_id}")
            assert f'<span class="state {state}">' in page or name == "resume"
            assert set(re.findall(rf'action="/jobs/{job_id}/(\w+)"', page)) == then
        refused = await press(http, f"/jobs/{job_id}/pause")
        assert refused.status == 409
        assert "already been cancelled" in await refused.text()


async def test_a_failed_job_tells_the_place_the_value_and_the_cure(settings):
    job_id = await insert_job(settings, name="prices", labels={SCRIPT: SCRIPT})
    await finish_job(settings, job_id, state="failed", error=PROBLEM)
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
    assert SCRIPT not in page
    read = html.unescape(page)
    for part in (
        "bad_row",
        PROBLEM["detail"],
        f"file:///data/{SCRIPT}.csv",
        "1,234",
        ">7<",
        f"<code>{SCRIPT}",
    ):
        assert part in read
    assert "Next step" in page
    assert "Your key may not" not in page
    assert "quarantine" in page
    assert "hx-sse:connect" not in page


async def test_a_succeeded_job_links_to_its_rows_and_shows_its_receipt(settings):
    job_id = await publish(settings, {"k": "string"}, [("a",), ("b",)], name="cities")
    rows = {"read": 5, "aggregated": 3, "filtered": 2, "dropped_null_key": 0, "quarantined": 0, "skipped": 0}
    files = [{"uri": f"file:///data/{no}.csv", "bytes": 2048, "fingerprint": {}} for no in range(30)]
    receipt = {
        "rows": rows,
        "files": files,
        "groups": 2,
        "attempts": {"total": 3},
        "result": {"digest": "sha256:0"},
    }
    await change(settings, job_id, "receipt = $2", receipt)
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
        assert '<a href="/results/cities">2 rows of cities, version 1</a>' in page
        assert "file:///data/19.csv" in page
        assert "file:///data/20.csv" not in page
        assert "10 other files" in page
        assert f'"/v1/jobs/{job_id}/receipt"' in page
        await publish(settings, {"k": "string"}, [("a",)], name="cities")
        async with asyncio.timeout(10):
            while f'<a href="/jobs/{job_id}/rows">' not in await shown(http, f"/jobs/{job_id}"):
                pass


async def test_bad_rows_in_quarantine_are_shown_and_can_be_downloaded(settings):
    job_id = await scanning_job(settings)
    async with database(settings) as connection:
        await connection.execute("UPDATE gristmill.units SET rows_quarantined = 25 WHERE job_id = $1", job_id)
        await connection.execute(
            "INSERT INTO gristmill.quarantine (job_id, epoch, chunk, no, extent, uri, byte, line_of_extent, "
            "line, name, value, reason, record, truncated) SELECT $1, 1, 0, no, 0, 'file:///a.csv', no, no, "
            "no, 'price', $2 || no, 'is no number', 'x', false FROM generate_series(1, 25) no",
            job_id,
            SCRIPT,
        )
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
        assert SCRIPT not in page
        assert "The first 20 of 25" in page
        assert page.count("is no number") == 20
        for form in ("csv", "ndjson"):
            path = re.search(rf'"(/v1/jobs/{job_id}/quarantine\?format={form})" download="', page)[1]
            async with http.get(path) as response:
                assert (await response.text()).count("is no number") == 25


async def test_failed_attempts_are_grouped_by_cause(settings):
    job_id = await scanning_job(settings)
    said = {"kind": "chunk", "attempt": 1, "worker": "wrk_1", "charge": "crash", "error": PROBLEM}
    async with database(settings) as connection:
        for no in range(7):
            entry = said | {"no": no} | ({"charge": "death", "error": None} if no < 2 else {})
            await connection.execute(
                "INSERT INTO gristmill.job_events (job_id, no, at, event, said, count) "
                "VALUES ($1, $2, now(), 'attempt_failed', $3, $4)",
                job_id,
                no + 10,
                entry,
                5 if no == 0 else 1,
            )
    pool = connect(settings.database_url, name="test", size=1)
    found = await StripStore(pool).causes(job_id)
    await pool.close()
    assert [(each.charge, each.code, each.attempts, each.no) for each in found] == [
        ("death", None, 6, 1),
        ("crash", "bad_row", 5, 6),
    ]
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
    assert "Failed attempts" in page
    assert SCRIPT not in page


@pytest.mark.parametrize(("first", "per", "count"), [(0, 1, 300), (120, 1, 300), (0, 7, 300), (0, 2, 2500)])
async def test_cells_count_the_chunks_in_each_state(settings, first, per, count):
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(CHUNKS, job_id, count)
        units = await connection.fetch(
            "SELECT no, state, attempt, worker FROM gristmill.units WHERE job_id = $1 AND kind = 'chunk' "
            "AND no >= $2 ORDER BY no",
            job_id,
            first,
        )
    pool = connect(settings.database_url, name="test", size=1)
    cells = await StripStore(pool).cells(job_id, first, per)
    await pool.close()
    expected = [units[start : start + per] for start in range(0, len(units), per)][:1000]
    assert len(cells) == len(expected)
    for cell, chunks in zip(cells, expected, strict=True):
        assert (cell.first, cell.last) == (chunks[0]["no"], chunks[-1]["no"])
        states = Counter(unit["state"] for unit in chunks)
        assert Counter({s: getattr(cell, s) for s in ("done", "failed", "cancelled", "pending")}) == states
        assert cell.attempt == max(unit["attempt"] for unit in chunks)
        assert cell.worker == (chunks[0]["worker"] if len(chunks) == 1 else None)
        assert cell.ran == (timedelta(seconds=1) if states["done"] + states["failed"] else None)


async def test_a_hundred_thousand_chunks_are_a_light_page_that_leads_to_each(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        async with database(settings) as connection:
            await connection.execute(MANY_UNITS, job_id)
            await connection.execute("ANALYZE gristmill.units")
        page = await shown(http, f"/jobs/{job_id}")
        assert len(page.encode()) < 200_000
        cells = re.findall(r'<a class="(\w+)" href="\?chunks=(\d+)" title="([^"]+)"', page)
        assert len(cells) == 1000
        assert cells[0] == ("done", "0", "chunks 0–99, 100 done")
        assert cells[-1] == ("failed", "99900", "chunks 99,900–99,999, 99 done, 1 failed")
        last = await shown(http, f"/jobs/{job_id}?chunks=99900")
        assert len(re.findall(r'<i class="\w+" role="img"', last)) == 100
        assert 'class="failed" role="img" title="chunk 99,999: failed' in last
        middle = await shown(http, f"/jobs/{job_id}?chunks=5000")
        assert "Chunks 5,000 to 5,999 of 100,000" in middle
        assert len(middle.encode()) < 200_000
        assert 'href="?chunks=4000"' in middle
        assert 'href="?chunks=6000"' in middle
        async with http.get(f"/jobs/{job_id}?chunks=x") as response:
            assert response.status == 422


async def test_a_strip_from_any_number_on_is_not_kept(settings, monkeypatch):
    monkeypatch.setattr(job_pages, "STRIP_SECONDS", 60.0)
    job_id = await scanning_job(settings)

    def kept() -> int:
        gc.collect()
        return sum(isinstance(each, job_pages.Strip) for each in gc.get_objects())

    before = kept()
    async with gateway(settings) as http:
        for start in (1, 2, 5, 10, 10**6, 10**9):
            await shown(http, f"/jobs/{job_id}?chunks={start}")
        assert kept() == before
        await shown(http, f"/jobs/{job_id}")
        assert kept() == before + 1


async def test_the_units_are_counted_while_the_strip_is_read(settings, monkeypatch):
    job_id, both = await insert_job(settings), asyncio.Barrier(2)

    def meeting(read):
        async def meet(*args):
            await both.wait()
            return await read(*args)

        return meet

    monkeypatch.setattr(JobStore, "look", meeting(JobStore.look))
    monkeypatch.setattr(StripStore, "cells", meeting(StripStore.cells))
    async with gateway(settings) as http, asyncio.timeout(20):
        await shown(http, f"/jobs/{job_id}")


async def test_a_page_shows_old_counts_at_once_and_its_stream_the_new_ones(settings, monkeypatch):
    monkeypatch.setattr(jobs, "_COUNTS_TIMES", 0)
    monkeypatch.setattr(jobs, "OLD_SECONDS", 60.0)
    job_id, look = await scanning_job(settings), JobStore.look
    async with gateway(settings) as http:
        await shown(http, f"/jobs/{job_id}")
        going_on = asyncio.Event()

        async def slow(self, *args):
            await going_on.wait()
            return await look(self, *args)

        monkeypatch.setattr(JobStore, "look", slow)
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.units SET rows_read = 1234567")
        await asyncio.sleep(0.5)  # the view is old now
        async with asyncio.timeout(30):
            page = await shown(http, f"/jobs/{job_id}")
        assert "1,234,567" not in page
        going_on.set()
        path = html.unescape(re.search(r'hx-sse:connect="([^"]+)"', page)[1])
        async with http.get(path) as response:
            coming = messages(response)
            async with asyncio.timeout(30):
                while "1,234,567" not in (await anext(coming)).get("data", ""):
                    pass
        await change(settings, job_id, "state = 'paused'")
        assert '<span class="state paused">' in await shown(http, f"/jobs/{job_id}")


async def test_a_strip_of_before_a_change_is_read_again(settings, monkeypatch):
    job_id, extent, read = await scanning_job(settings), StripStore.extent, []

    async def overtaken(self, *args):
        found = await extent(self, *args)
        read.append(found.revision)
        if len(read) == 1:
            await change(settings, job_id, "state = 'paused'")
        return found

    monkeypatch.setattr(StripStore, "extent", overtaken)
    slow = JobStore.look

    async def later(self, *args):
        while not read:
            await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        return await slow(self, *args)

    monkeypatch.setattr(JobStore, "look", later)
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
    assert '<span class="state paused">' in page
    assert read == [read[0], read[0] + 1]


async def test_the_strip_is_sent_again_only_if_it_has_changed(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        path = html.unescape(
            re.search(r'hx-get="([^"]+/strip[^"]+)"', await shown(http, f"/jobs/{job_id}"))[1]
        )
        async with http.get(path) as response:
            assert (response.status, await response.read()) == (204, b"")
        await change(settings, job_id, "state = 'paused'")
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.units SET attempt = 3 WHERE job_id = $1", job_id)
        async with asyncio.timeout(10):
            while (response := await http.get(path)).status == 204:
                pass
        assert response.status == 200
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        assert "attempt 3" in await response.text()


async def messages(response):
    """Each message of a stream with its `id`, `event` and `data`, then None."""
    fields: dict[str, str] = {}
    async for raw in response.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        elif fields:
            yield fields
            fields = {}


async def test_the_stream_sends_parts_of_the_page_and_tells_of_each_change_and_of_the_end(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
        path = re.search(r'hx-sse:connect="([^"]+)"', page)[1]
        async with http.get(path) as response:
            assert response.content_type == "text/event-stream"
            coming = messages(response)
            assert "retry" in await anext(coming)
            first = await anext(coming)
            assert first["data"].startswith('<hx-partial hx-target="#progress" hx-swap="innerMorph">')
            assert first["data"].endswith("</hx-partial>")
            async with database(settings) as connection:
                await connection.execute("UPDATE gristmill.units SET rows_read = 1234567")
            second = await anext(coming)
            assert "1,234,567" in second["data"]
            assert second["id"] == first["id"]
            await finish_job(settings, job_id, state="cancelled")
            rest = [message async for message in coming]
        assert rest[-1]["event"] == "changed"
        assert int(rest[-1]["id"]) > int(first["id"])
        async with http.get(path, headers={"Last-Event-ID": rest[-1]["id"]}) as response:
            again = [message async for message in messages(response)]
        assert again[-1]["event"] == "changed", "a page that missed the end is told"
        assert "hx-sse:connect" not in await shown(http, f"/jobs/{job_id}")


async def test_a_page_that_is_older_than_the_job_is_told_at_once(settings):
    job_id = await scanning_job(settings)
    async with gateway(settings) as http, http.get(f"/jobs/{job_id}/live?revision=0") as response:
        coming = messages(response)
        await anext(coming)
        assert "event" not in await anext(coming)
        assert (await anext(coming))["event"] == "changed"


async def test_the_parts_are_rendered_once_for_all_pages(settings, monkeypatch):
    job_id, rendered = await scanning_job(settings), Counter()
    shared = live.shared

    def counting(template, *args, **values):
        rendered[values["job"].progress.rows["read"]] += 1
        return shared(template, *args, **values)

    monkeypatch.setattr(live, "shared", counting)
    async with gateway(settings) as http:
        responses = await asyncio.gather(*(http.get(f"/jobs/{job_id}/live?revision=2") for _ in range(20)))
        coming = [messages(response) for response in responses]
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.units SET rows_read = 77")
        for each in coming:
            async with asyncio.timeout(10):
                while ">77<" not in (await anext(each)).get("data", ""):
                    pass
        for response in responses:
            response.close()
    assert 1 <= rendered[77] <= 4, "one view, or a few that followed it, but not one for each page"


async def test_readers_see_no_buttons_and_other_tenants_no_job(closed):  # noqa: F811
    job_id, other = await scanning_job(closed), await insert_job(closed, tenant="other")
    async with gateway(closed) as http:
        reader = as_session(await sign_in(http, (await make_key(http, "read"))["key"]))
        page = await shown(http, f"/jobs/{job_id}", **reader)
        assert '<form method="post" action="/jobs' not in page
        assert "Clone and edit" not in page
        failed = await insert_job(closed)
        await finish_job(closed, failed, state="failed", error=PROBLEM)
        assert "Your key may not change jobs" in await shown(http, f"/jobs/{failed}", **reader)
        proof = reader | origin(http)
        refused = await press(
            http, f"/jobs/{job_id}/cancel", proof, csrf=token(reader["Cookie"].partition("=")[2])
        )
        assert refused.status == 403
        owner = as_session(await sign_in(http))
        assert "Cancel</button>" in await shown(http, f"/jobs/{job_id}", **owner)
        for path in (f"/jobs/{other}", f"/jobs/{other}/live", f"/jobs/{other}/strip"):
            async with http.get(path, headers=owner | {"Accept": "text/html"}) as response:
                assert response.status == 404, path


async def test_a_path_prefix_is_in_every_link(settings):
    job_id = await scanning_job(settings)
    public = settings.model_copy(update={"public_url": "https://data.example/mill"})
    async with gateway(public) as http:
        page = await shown(http, f"/jobs/{job_id}")
    links = re.findall(r'(?:href|src|action|hx-get|hx-sse:connect)="([^"]+)"', page)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://data.example/mill", "#"))] == []


async def test_a_long_spec_is_left_out(settings):
    job_id = await insert_job(settings)
    spec = {"source": {"uris": ["file:///" + "x" * 20_000]}, "group_by": [], "aggregates": [{"fn": "count"}]}
    await change(settings, job_id, "spec = $2", spec)
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs/{job_id}")
    assert "too long to show" in page
    assert len(page) < 30_000


async def test_the_spec_of_a_view_is_shortened_once(settings, monkeypatch):
    job_id = await insert_job(settings)
    shorten, read = job.short, JobService.read
    views, shortened = {}, []

    async def same(self, tenant, job_id, _=0):
        if job_id not in views:
            views[job_id] = await read(self, tenant, job_id)
        return views[job_id]

    for reads in ("read", "recent"):
        monkeypatch.setattr(JobService, reads, same)
    monkeypatch.setattr(job, "short", lambda spec: shortened.append(spec) or shorten(spec))
    async with gateway(settings) as http:
        pages = [await shown(http, f"/jobs/{job_id}") for _ in range(3)]
    assert len(shortened) == 1
    assert all('id="spec"' in page for page in pages)


def test_the_commands_of_the_page_run_as_shown(stack, tmp_path, monkeypatch):
    uri = stack.write("equivalents/a.csv", "city,price\nOslo,1.5\nRome,2\nOslo,3\n")
    spec = {
        "source": {"uris": [uri], "types": {"price": "decimal(12,2)"}},
        "group_by": ["city"],
        "aggregates": [{"fn": "sum", "column": "price", "as": "it's"}],
        "where": "city != 'O''Hare'",
    }
    job = stack.run(spec)
    page = stack.http.get(f"/jobs/{job['id']}").text
    text = {name: html.unescape(re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', page, re.DOTALL)[1])
            for name in ("spec", "curl", "python")}  # fmt: skip
    assert json.loads(text["spec"])["where"] == spec["where"]

    again = json.loads(run(text["curl"], {}, tmp_path))
    assert stack.wait(again["id"])["result"]["digest"] == job["result"]["digest"]

    monkeypatch.delenv("GRISTMILL_URL", raising=False)
    printed = []
    names = {"print": printed.append}
    exec(compile(text["python"], "shown", "exec"), names)
    names["client"].close()
    assert sorted((row["city"], str(row["it's"])) for row in printed[0]) == [
        ("Oslo", "4.50"),
        ("Rome", "2.00"),
    ]
