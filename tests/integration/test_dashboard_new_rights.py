"""Who may describe a new job, and whose data its pages show."""

import json

import aiohttp
import pytest
from pydantic import SecretStr

from tests.integration.test_dashboard_signing import OWNER, as_session, make_key, origin, sign_in
from tests.integration.test_gateway_keys import added
from tests.support.gateway import gateway, insert_job
from tests.support.html_forms import fields_of


@pytest.fixture
def closed(settings):
    """The settings of a gateway with a key."""
    return settings.model_copy(update={"api_key": SecretStr(OWNER)})


async def test_a_key_that_only_reads_gets_a_page_that_says_so(closed):
    async with gateway(closed) as http:
        key = await make_key(http, "read")
        session = await sign_in(http, key["key"])
        async with http.get("/new", headers=as_session(session)) as response:
            shown = await response.text()
            assert response.status == 200
            assert "scope <code>submit</code>" in shown
            assert "<textarea" not in shown
        async with http.post(
            "/new", data={"act": "look"}, headers=as_session(session) | origin(http)
        ) as response:
            assert response.status == 403


async def test_jobs_dry_runs_and_uploads_of_another_tenant_are_not_there(closed):
    job = await insert_job(closed, tenant="other")
    async with gateway(closed) as http:
        headers = {"Authorization": f"Bearer {OWNER}"}
        async with http.post("/v1/uploads?filename=mine.csv", data=b"a\n1\n", headers=headers) as response:
            upload = await response.json()
        session = as_session(await sign_in(http, await added(closed, "theirs", "--tenant", "other")))
        mine = as_session(await sign_in(http))
        async with http.get("/new", headers=mine) as response:
            assert "mine.csv" in await response.text()
        async with http.get(f"/new?upload={upload['id']}", headers=session) as response:
            assert "mine.csv" not in await response.text()
        async with http.get(f"/new?from={job}", headers=session) as response:
            assert response.status == 200
        async with http.get(f"/new?from={job}", headers=mine) as response:
            assert response.status == 404


async def test_a_file_is_stored_only_with_the_token_of_the_page(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
        headers = as_session(session) | origin(http)
        async with http.get("/new", headers=headers) as response:
            csrf = fields_of(await response.text(), "upload")["csrf"]
        for token, status in (("0", 403), (csrf, 303)):
            with_file = file_form(csrf=token, file=b"a\n1\n")
            async with http.post(
                "/new/upload", data=with_file, headers=headers, allow_redirects=False
            ) as response:
                assert response.status == status
        async with http.get("/v1/uploads", headers=headers) as response:
            assert len((await response.json())["items"]) == 1


def file_form(*, csrf: str, file: bytes) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("csrf", csrf)
    form.add_field("file", file, filename="a.csv")
    return form


async def test_a_spec_is_no_longer_than_the_api_accepts(settings):
    small = settings.model_copy(update={"max_spec_bytes": 400})
    spec = {"source": {"uris": ["file:///a.csv"]}, "group_by": [], "aggregates": [{"fn": "count"}]}
    short, long = (json.dumps(spec | {"labels": {"note": "x" * size}}) for size in (100, 300))
    async with gateway(small) as http:
        for act in ("look", "submit"):
            async with http.post("/new", data={"act": act, "json": long, "shown": "0"}) as response:
                assert response.status == 422, act
                assert f"The spec has {len(long):,} bytes; at most 400 are accepted" in await response.text()
        async with http.get("/v1/jobs") as response:
            assert (await response.json())["items"] == []
        for text, said in ((long, "bytes; at most 400"), (short, "client.submit(")):
            async with http.post("/new/preview", data={"json": text, "shown": "0"}) as response:
                assert said in await response.text()


async def test_a_key_of_one_job_is_told_that_it_opens_no_other(closed):
    job = await insert_job(closed)
    async with gateway(closed) as http:
        wanted = {"scopes": ["read", "submit"], "job": job}
        async with http.post(
            "/v1/keys", json=wanted, headers={"Authorization": f"Bearer {OWNER}"}
        ) as response:
            made = await response.json()
            assert response.status == 201, made
        session = as_session(await sign_in(http, made["key"]))
        async with http.get("/new", headers=session) as response:
            assert response.status == 403
            assert f"/v1/jobs/{job} and the paths below it only" in await response.text()
