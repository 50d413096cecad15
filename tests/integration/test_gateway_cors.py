"""Pages of the listed origins use the gateway from a browser, and see its errors too; other pages do not."""

import asyncio
import os
import sys

import pytest
from pydantic import SecretStr

from tests.support.gateway import gateway, problem_of, publish, spec_for

PAGE, OTHER, KEY = "https://app.example", "https://evil.example", "s" * 40
WITH_KEY = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def listed(settings):
    """A gateway without keys."""
    return settings.model_copy(update={"cors_origins": ["http://localhost:3000", PAGE]})


@pytest.fixture
def closed(listed):
    return listed.model_copy(update={"api_key": SecretStr(KEY)})


def preflight(http, path: str, origin: str = PAGE, method: str = "POST"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return http.options(path, headers=headers)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/uploads/upl_x", "/v1/nothing", "/readyz"])
async def test_a_preflight_is_answered_without_a_key(closed, path):
    async with gateway(closed) as http, preflight(http, path) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        methods = response.headers["Access-Control-Allow-Methods"].split(", ")
        assert {"GET", "HEAD", "POST", "PATCH", "DELETE"} <= {*methods}
        assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert int(response.headers["Access-Control-Max-Age"]) > 0
        assert "Origin" in response.headers.getall("Vary")
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_without_keys_a_listed_page_may_only_read(listed):
    async with gateway(listed) as http:
        async with preflight(http, "/v1/jobs") as response:
            assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
        async with http.get("/v1/jobs", headers={"Origin": PAGE}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
        async with http.post("/v1/jobs", json=spec_for(listed), headers={"Origin": PAGE}) as response:
            assert (response.status, (await problem_of(response))["code"]) == (403, "cross_site_request")
            assert response.headers["Access-Control-Allow-Origin"] == PAGE


async def test_a_page_that_is_not_listed_is_told_the_setting_and_may_read_nothing(closed):
    async with gateway(closed) as http:
        async with preflight(http, "/v1/jobs", OTHER) as response:
            problem = await problem_of(response)
            assert (response.status, problem["code"]) == (403, "cross_site_request")
            assert "GRISTMILL_CORS_ORIGINS" in problem["detail"]
            assert OTHER in problem["detail"]
            assert "Access-Control-Allow-Origin" not in response.headers
        for origin in (OTHER, "null", PAGE + ".evil.example", PAGE.upper(), "*"):
            async with http.get("/v1/jobs", headers=WITH_KEY | {"Origin": origin}) as response:
                assert "Access-Control-Allow-Origin" not in response.headers


async def test_without_the_setting_no_answer_mentions_origins(settings):
    async with gateway(settings) as http, http.get("/v1/jobs", headers={"Origin": PAGE}) as response:
        assert response.status == 200
        assert not [name for name in response.headers if name.startswith("Access-Control-")]
        assert "Origin" not in response.headers.getall("Vary", [])


async def test_a_page_reads_errors_and_streams_and_the_headers_that_clients_need(closed):
    job = await publish(closed, {"k": "string"}, [("a",)], name="sales")
    sent = WITH_KEY | {"Origin": PAGE}
    async with gateway(closed) as http:
        for path, headers, status in (
            ("/v1/jobs", {"Origin": PAGE}, 401),
            ("/v1/jobs/job_x", sent, 404),
            ("/v1/nothing", sent, 404),
            ("/v1/jobs?nonsense=1", sent, 422),
            (f"/v1/jobs/{job}", sent, 200),
            (f"/v1/jobs/{job}/rows?format=csv", sent, 200),
            ("/livez", {"Origin": PAGE}, 200),
        ):
            async with http.get(path, headers=headers) as response:
                assert response.status == status, path
                assert response.headers["Access-Control-Allow-Origin"] == PAGE
                exposed = {*response.headers["Access-Control-Expose-Headers"].split(", ")}
                assert exposed >= {
                    "Location", "ETag", "X-Request-Id", "Retry-After", "Preference-Applied",
                    "Idempotency-Replayed", "RateLimit", "Upload-Offset", "Upload-Length", "Tus-Resumable",
                    "Upload-Expires",
                }  # fmt: skip
                assert "Origin" in response.headers.getall("Vary")
        async with http.put("/v1/jobs", headers=sent) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (405, PAGE)
        async with http.options("/v1/jobs", headers=sent) as response:
            assert response.status == 405, "it asks for no method, so it is no preflight"


async def test_a_gateway_for_every_origin_does_not_start(settings):
    environment = {
        "PATH": os.environ["PATH"],
        "GRISTMILL_DATABASE_URL": settings.database_url,
        "GRISTMILL_REDIS_URL": settings.redis_url,
        "GRISTMILL_CORS_ORIGINS": "https://app.example,*",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api_service", "serve"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, complained = await process.communicate()

    assert process.returncode == 2
    assert "GRISTMILL_CORS_ORIGINS" in complained.decode()
    assert "list each origin" in complained.decode()
