"""The nginx configuration of docs/proxy.md, in a real nginx."""

import asyncio
import hashlib
import io
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from api_service.server import serving
from shared.addresses import network
from tests.support.gateway import problem_of, spec_for
from tests.support.nginx import NGINX, proxied

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

PUBLIC, KEY = "https://app.example.com/gristmill", "s" * 40
WITH_KEY = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def behind(settings):
    return settings.model_copy(
        update={
            "public_url": PUBLIC,
            "trusted_proxies": [network("127.0.0.1")],
            "cors_origins": ["https://page.example"],
        }
    )


@pytest.fixture
async def nginx(behind, tmp_path):
    """The URL of nginx before a gateway with a key."""
    async with serving(behind.model_copy(update={"api_key": SecretStr(KEY)})) as upstream:
        with proxied(tmp_path, urlsplit(upstream).netloc) as url:
            yield url


async def test_the_links_of_answers_lead_through_the_proxy(nginx, behind):
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{nginx}/v1/jobs", json=spec_for(behind), headers=WITH_KEY) as response:
            assert response.status == 202
            location = response.headers["Location"]
        assert location.startswith(PUBLIC + "/v1/jobs/job_")
        async with http.get(location.replace(PUBLIC, nginx), headers=WITH_KEY) as response:
            assert (await response.json())["links"]["self"] == location
        async with http.get(f"{nginx}/v1/jobs") as response:
            problem = await problem_of(response)
            assert (response.status, problem["instance"]) == (401, f"{PUBLIC}/v1/jobs")
        ask = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        async with http.options(f"{nginx}/v1/jobs", headers=ask) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (204, ask["Origin"])


async def test_a_large_upload_arrives_whole(nginx):
    body = bytes(range(256)) * 16_384
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{nginx}/v1/uploads", data=io.BytesIO(body), headers=WITH_KEY) as response,
    ):
        assert response.status == 201
        assert (await response.json())["sha256"] == hashlib.sha256(body).hexdigest()


async def test_an_upload_passes_as_it_comes(nginx):
    """The gateway refuses one of ten terabytes before a byte of it is there."""
    url = urlsplit(nginx)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"POST {url.path}/v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    writer.write(f"{head}Content-Length: {10**13}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


async def test_an_answer_passes_as_it_comes(tmp_path):
    """As events do: the second one is sent when the client has the first."""
    seen = asyncio.Event()

    async def events(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await asyncio.wait_for(seen.wait(), 60)
        await response.write(b"data: 2\n\n")
        return response

    app = web.Application()
    app.router.add_get("/v1/events", events)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with proxied(tmp_path, "127.0.0.1:{1}".format(*runner.addresses[0])) as url:
            async with aiohttp.ClientSession() as http, http.get(f"{url}/v1/events") as response:
                assert await response.content.readexactly(9) == b"data: 1\n\n"
                seen.set()
                assert await response.content.read() == b"data: 2\n\n"
    finally:
        await runner.cleanup()


async def test_without_keys_a_client_cannot_make_up_that_it_is_on_this_machine(behind, tmp_path):
    async with serving(behind) as upstream, aiohttp.ClientSession() as http:
        with proxied(tmp_path, urlsplit(upstream).netloc) as url:
            for headers, status in (
                ({}, 200),
                ({"X-Forwarded-For": "203.0.113.9"}, 401),
                ({"Forwarded": "for=203.0.113.9"}, 200),
                ({"Host": "app.example.com"}, 403),
            ):
                async with http.get(f"{url}/v1/jobs", headers=headers) as response:
                    assert response.status == status, headers
