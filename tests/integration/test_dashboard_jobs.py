"""The list of jobs as a page: its filters, its refresh, and changing all jobs that fit."""

import html
import re
from urllib.parse import urlencode

import pytest

from api_service.auth.sessions import token
from tests.integration.test_dashboard_job import press, shown
from tests.integration.test_dashboard_signing import (  # noqa: F401  # a fixture
    as_session,
    closed,
    make_key,
    origin,
    sign_in,
)
from tests.support.gateway import database, finish_job, gateway, insert_job

SCRIPT = "<script>alert(1)</script>"


async def test_a_job_shows_its_name_its_labels_and_the_end_of_its_id(settings):
    job_id = await insert_job(settings, name="prices", labels={"team": SCRIPT})
    async with gateway(settings) as http:
        page = await shown(http, "/jobs")
    assert f'<a href="/jobs/{job_id}" title="{job_id}"><code>…{job_id[-8:]}</code></a>' in page
    assert ">prices<" in page
    assert SCRIPT not in page
    assert f"team: {SCRIPT}" in html.unescape(page)


async def test_the_list_refreshes_itself_while_a_job_of_its_first_page_is_under_way(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        for path in ("/jobs", "/jobs?state=queued&label=a%3Ab%2Bc"):
            page = await shown(http, path)
            asked = re.search(r'hx-get="([^"]+)" hx-trigger="every 4s"', page)
            assert (asked is not None) == (job_id in page)
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.jobs SET sources = 'file:///data/nowhere.csv'")
        found = await shown(http, "/jobs?source=nowhere")
        assert job_id in found
        assert "hx-trigger" not in found
        older = f"/jobs?after=job_{'z' * 26}"
        assert "hx-trigger" not in await shown(http, older)
        await finish_job(settings, job_id, state="cancelled")
        assert "hx-trigger" not in await shown(http, "/jobs")


async def test_times_filter_the_list_in_utc(settings):
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute("UPDATE gristmill.jobs SET created_at = '2020-06-01T12:00:30Z'")
    async with gateway(settings) as http:
        for query, fits in (
            ("created_after=2020-06-01T12:00", True),
            ("created_after=2020-06-01T12:01", False),
            ("created_before=2020-06-01T12:01", True),
            ("created_before=2020-06-01T12:00&created_after=", False),
        ):
            page = await shown(http, f"/jobs?{query}")
            assert (job_id in page) == fits, query
        assert 'name="created_after" type="datetime-local" step="1" value="2020-06-01T12:00"' in await shown(
            http, "/jobs?created_after=2020-06-01T12:00"
        )


async def test_the_form_of_the_filters_loses_none_of_them(settings):
    """What the form sends again: every label, a time of another zone, seconds, and parts of a second."""
    query = [
        ("label", "team:sales"),
        ("label", "city:<Köln>"),
        ("created_after", "2020-06-01T12:00:30+02:00"),
        ("created_before", "2020-06-02T00:00:00.250000Z"),
    ]
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs?{urlencode(query)}")
    form = re.search('<form class="filters".*?</form>', page, re.DOTALL)[0]
    inputs = re.findall(r'<input [^>]*?name="(\w+)"[^>]*?value="([^"]+)"', form)
    assert [(name, html.unescape(value)) for name, value in inputs] == [
        ("label", "team:sales"),
        ("label", "city:<Köln>"),
        ("created_after", "2020-06-01T10:00:30"),
        ("created_before", "2020-06-02T00:00:00.250000Z"),
    ]


async def failed_jobs(settings, number: int, **labels: str) -> list[str]:
    found = [await insert_job(settings, labels=labels) for _ in range(number)]
    problem = {"code": "x", "category": "system", "retryable": True, "detail": "x", "errors": []}
    for job_id in found:
        await finish_job(settings, job_id, state="failed", error=problem, phase="planning")
    return found


async def states(settings) -> list[str]:
    async with database(settings) as connection:
        return [
            row["state"] for row in await connection.fetch("SELECT state FROM gristmill.jobs ORDER BY id")
        ]


def fields_of(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


async def test_all_jobs_that_fit_are_retried_once_their_number_is_confirmed(settings):
    await failed_jobs(settings, 3, team=SCRIPT)
    await failed_jobs(settings, 1, team="other")
    async with gateway(settings) as http:
        page = await shown(http, f"/jobs?state=failed&label=team:{SCRIPT}")
        assert "/jobs/cancel" not in page
        question = html.unescape(re.search(r'href="(/jobs/retry\?[^"]+)"', page)[1])
        page = await shown(http, question)
        assert "<h1>Retry 3 jobs?</h1>" in page
        assert SCRIPT not in page
        response = await press(http, "/jobs/retry", **fields_of(page))
        text = await response.text()
        assert response.status == 200, text
        assert "3 of 3 jobs changed" in text
    assert await states(settings) == ["running"] * 3 + ["failed"]


async def test_another_number_than_was_confirmed_changes_nothing_and_is_told(settings):
    await failed_jobs(settings, 2)
    async with gateway(settings) as http:
        fields = fields_of(await shown(http, "/jobs/retry?state=failed"))
        assert fields["expected"] == "2"
        await failed_jobs(settings, 1)
        response = await press(http, "/jobs/retry", **fields)
        text = await response.text()
        assert response.status == 409
        assert "matches 3 jobs, and 2 were expected; nothing was changed" in text
        assert fields_of(text)["expected"] == "3"
    assert await states(settings) == ["failed"] * 3


async def test_jobs_that_refuse_a_change_are_named(settings):
    job_id = await insert_job(settings)
    await finish_job(settings, job_id)
    async with gateway(settings) as http:
        response = await press(http, "/jobs/cancel", **fields_of(await shown(http, "/jobs/cancel")))
        text = await response.text()
    assert "0 of 1 job changed" in text
    assert "already_done" in text
    assert job_id in text


@pytest.mark.parametrize("expected", ["", "x", "0", "1001"])
async def test_a_number_that_is_none_is_refused(settings, expected):
    async with gateway(settings) as http:
        response = await press(http, "/jobs/cancel", expected=expected)
        assert response.status in {409, 422}


async def test_readers_are_offered_no_change_and_may_make_none(closed):  # noqa: F811
    await failed_jobs(closed, 1)
    async with gateway(closed) as http:
        session = await sign_in(http, (await make_key(http, "read"))["key"])
        assert "/jobs/retry" not in await shown(http, "/jobs?state=failed", **as_session(session))
        async with http.get("/jobs/retry?state=failed", headers=as_session(session)) as response:
            assert response.status == 403
        proof = as_session(session) | origin(http)
        response = await press(http, "/jobs/retry", proof, expected="1", state="failed", csrf=token(session))
        assert response.status == 403
    assert await states(closed) == ["failed"]
