"""Signing in to the dashboard, and what its session may do."""

import asyncio
import re

import pytest
from pydantic import SecretStr

from api_service.auth.sessions import COOKIE, token
from api_service.dashboard.assets import asset_path
from api_service.dashboard.pages import PAGES
from tests.support.gateway import database, gateway, insert_job, problem_of

OWNER = "s" * 40


@pytest.fixture
def closed(settings):
    """The settings of a gateway with a key."""
    return settings.model_copy(update={"api_key": SecretStr(OWNER)})


def origin(http) -> dict[str, str]:
    return {"Origin": str(http._base_url).rstrip("/")}


async def sign_in(http, key: str = OWNER, **fields: str) -> str:
    """The session, from the cookie."""
    async with http.post(
        "/sign-in", data={"key": key, **fields}, headers=origin(http), allow_redirects=False
    ) as response:
        assert response.status == 303, await response.text()
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie
        return response.cookies[COOKIE].value


def as_session(session: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={session}"}


async def make_key(http, *scopes: str, **wish: str) -> dict:
    async with http.post(
        "/v1/keys", json={"scopes": list(scopes)} | wish, headers={"Authorization": f"Bearer {OWNER}"}
    ) as response:
        return await response.json()


async def test_a_page_without_a_session_leads_to_the_form_and_back(closed):
    async with gateway(closed) as http:
        async with http.get("/jobs?state=failed", allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/sign-in?next=%2Fjobs%3Fstate%3Dfailed"
        async with http.get(response.headers["Location"]) as response:
            shown = await response.text()
        onward = re.search(r'name="next" value="([^"]*)"', shown)[1]
        async with http.post(
            "/sign-in", data={"key": OWNER, "next": onward}, headers=origin(http), allow_redirects=False
        ) as response:
            assert response.headers["Location"] == "/jobs?state=failed"


@pytest.mark.parametrize("onward", ["//evil.example", "https://evil.example", "/\\evil.example", "", "\n/x"])
async def test_signing_in_never_leads_to_another_site(closed, onward):
    async with (
        gateway(closed) as http,
        http.post(
            "/sign-in", data={"key": OWNER, "next": onward}, headers=origin(http), allow_redirects=False
        ) as response,
    ):
        assert response.headers["Location"] == "/"


async def test_a_wrong_key_is_told_and_makes_no_session(closed):
    async with (
        gateway(closed) as http,
        http.post("/sign-in", data={"key": "gm_wrong"}, headers=origin(http)) as response,
    ):
        assert response.status == 401
        assert "Set-Cookie" not in response.headers
        assert "No such API key" in await response.text()


async def test_a_session_opens_pages_and_reads_the_api(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
        for path in ("/", "/jobs", "/v1/jobs"):
            async with http.get(path, headers=as_session(session)) as response:
                assert response.status == 200, path


async def test_signing_out_ends_the_session(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
        async with http.post(
            "/sign-out",
            data={"csrf": token(session)},
            headers=as_session(session) | origin(http),
            allow_redirects=False,
        ) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/sign-in"
        async with http.get("/v1/jobs", headers=as_session(session)) as response:
            assert response.status == 401


@pytest.mark.parametrize("scopes", [["upload"], ["read"]], ids=["uploads", "one job"])
async def test_each_key_can_sign_out_and_only_with_the_token(closed, scopes):
    job = await insert_job(closed)
    async with gateway(closed) as http:
        key = await make_key(http, *scopes, **({"job": job} if scopes == ["read"] else {}))
        session = await sign_in(http, key["key"])
        statuses = []
        for proof in ("0", token(session)):
            async with http.post(
                "/sign-out",
                data={"csrf": proof},
                headers=as_session(session) | origin(http),
                allow_redirects=False,
            ) as response:
                statuses.append(response.status)
            async with http.get("/v1/jobs", headers=as_session(session)) as response:
                statuses.append(response.status)
    assert statuses == [403, 403, 303, 401]


async def test_a_key_of_one_job_is_led_to_it_and_sees_no_way_elsewhere(closed):
    job = await insert_job(closed)
    async with gateway(closed) as http:
        key = await make_key(http, "submit", job=job)
        async with http.post(
            "/sign-in", data={"key": key["key"], "next": "/"}, headers=origin(http), allow_redirects=False
        ) as response:
            assert response.headers["Location"] == f"/jobs/{job}"
            session = response.cookies[COOKIE].value
        async with http.get(f"/jobs/{job}", headers=as_session(session)) as response:
            shown = await response.text()
        async with http.get("/jobs", headers=as_session(session)) as response:
            refused = await response.text()
    assert re.findall(r'href="/(?:new|results|workers|jobs)["?]', shown) == []
    assert f'href="/jobs/{job}"' in refused


async def raw(http, method: str, path: str, headers: bytes) -> bytes:
    """The answer to a request whose headers may have any bytes."""
    url = http._base_url
    authority = f"{url.host}:{url.port}".encode()
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"{method} {path} HTTP/1.1\r\n".encode()
        + b"Host: " + authority + b"\r\nOrigin: http://" + authority + b"\r\n"
        + headers + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )  # fmt: skip
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("cookie", [b"x", b"", b"\xff", b'"\xff"', b"a" * 5000])
async def test_a_cookie_that_is_no_session_leads_to_the_form(closed, cookie):
    async with gateway(closed) as http:
        answer = await raw(http, "GET", "/jobs", b"Cookie: gristmill_session=" + cookie + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 303 "), answer[:200]


async def test_a_token_of_odd_bytes_is_refused(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
        cookie = f"Cookie: {COOKIE}={session}\r\n".encode()
        answer = await raw(http, "POST", "/v1/jobs", cookie + b"X-CSRF-Token: \xff\r\n")
    assert answer.startswith(b"HTTP/1.1 403 "), answer[:200]


async def test_revoking_the_key_ends_its_sessions(closed):
    async with gateway(closed) as http:
        key = await make_key(http, "read")
        session = await sign_in(http, key["key"])
        async with http.delete(
            f"/v1/keys/{key['id']}", headers={"Authorization": f"Bearer {OWNER}"}
        ) as response:
            assert response.status == 204
        async with http.get("/v1/jobs", headers=as_session(session)) as response:
            assert response.status == 401


async def test_a_session_has_the_rights_of_its_key(closed):
    async with gateway(closed) as http:
        reader = await sign_in(http, (await make_key(http, "read"))["key"])
        async with http.post(
            "/v1/jobs",
            json={},
            headers=as_session(reader) | origin(http) | {"X-CSRF-Token": token(reader)},
        ) as response:
            assert (response.status, (await problem_of(response))["code"]) == (403, "forbidden")
        async with http.get("/jobs", headers=as_session(reader)) as response:
            assert "New job" not in await response.text()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=["no origin", "another site", "null", "cross-site"],
)
async def test_a_change_that_another_sites_page_makes_is_refused(closed, headers):
    async with gateway(closed) as http:
        session = await sign_in(http)
        sent = origin(http) if "Sec-Fetch-Site" in headers else {}
        proof = as_session(session) | sent | headers | {"X-CSRF-Token": token(session)}
        async with http.post("/v1/jobs", json={}, headers=proof) as response:
            assert (response.status, (await problem_of(response))["code"]) == (403, "cross_site_request")


async def test_a_change_of_the_api_without_the_token_is_refused(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
        for proof in ({}, {"X-CSRF-Token": token("another")}):
            async with http.post(
                "/v1/jobs", json={}, headers=as_session(session) | origin(http) | proof
            ) as response:
                assert (response.status, (await problem_of(response))["code"]) == (403, "cross_site_request")


@pytest.mark.parametrize(
    "operation", [page for page in PAGES if page.method == "POST" and page.scope], ids=lambda page: page.path
)
async def test_every_form_needs_the_token(closed, operation):
    path = re.sub(r"\{(\w+):(?:[^{}]|\{[^}]*\})*\}", "job_x", operation.path)
    async with gateway(closed) as http:
        session = await sign_in(http)
        async with http.post(
            path, data={"csrf": "0"}, headers=as_session(session) | origin(http)
        ) as response:
            assert response.status == 403, path
            assert "token of the page" in await response.text()


async def test_errors_of_pages_are_pages(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
        for path, status in (("/jobs?state=odd", 422), ("/jobs?colour=red", 422), ("/nothing", 404)):
            async with http.get(path, headers=as_session(session) | {"Accept": "text/html"}) as response:
                assert response.status == status
                assert response.content_type == "text/html"
                assert response.headers["X-Request-Id"] in await response.text()
        async with http.get("/v1/nothing", headers=as_session(session) | {"Accept": "text/html"}) as response:
            assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("host", ["data.example", "Data.example:443"])
async def test_behind_https_the_cookie_is_secure_and_below_the_prefix(closed, host):
    public = closed.model_copy(update={"public_url": f"https://{host}/mill"})
    async with (
        gateway(public) as http,
        http.post(
            "/sign-in",
            data={"key": OWNER},
            headers={"Origin": "https://data.example"},
            allow_redirects=False,
        ) as response,
    ):
        assert response.status == 303
        assert response.headers["Location"] == f"https://{host}/mill/"
        assert "Secure" in response.headers["Set-Cookie"]
        assert "Path=/mill" in response.headers["Set-Cookie"]


async def test_without_keys_there_is_nothing_to_sign_in_to(settings):
    async with gateway(settings) as http, http.get("/sign-in", allow_redirects=False) as response:
        assert response.headers["Location"] == "/"


async def test_a_session_ends_after_its_time(closed):
    async with gateway(closed) as http:
        session = await sign_in(http)
    async with database(closed) as connection:
        await connection.execute("UPDATE gristmill.sessions SET expires_at = now()")
    async with gateway(closed) as http, http.get("/v1/jobs", headers=as_session(session)) as response:
        assert response.status == 401


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/job_1/strip", "/jobs/job_1/live"])
async def test_a_part_of_a_page_is_never_the_form_to_sign_in(closed, path):
    asked = {"HX-Request": "true", "Accept": "text/html, text/event-stream"}
    async with (
        gateway(closed) as http,
        http.get(path, headers=asked, allow_redirects=False) as response,
    ):
        assert (response.status, response.headers["HX-Refresh"]) == (401, "true")
        assert await response.text() == ""


async def test_a_stream_without_a_session_is_refused_and_does_not_lead_to_a_page(closed):
    async with (
        gateway(closed) as http,
        http.get(
            "/jobs/job_1/live", headers={"Accept": "text/event-stream"}, allow_redirects=False
        ) as response,
    ):
        assert response.status == 401
        assert "HX-Refresh" not in response.headers


@pytest.mark.parametrize("path", ["/new", "/new/preview"])
async def test_a_form_that_a_script_sends_without_a_session_gets_a_notice_beside_it(closed, path):
    async with (
        gateway(closed) as http,
        http.post(path, headers={"HX-Request": "true"} | origin(http), allow_redirects=False) as response,
    ):
        assert response.status == 401
        assert "HX-Refresh" not in response.headers
        assert response.headers["HX-Retarget"] == "#told"
        assert "Your session has ended" in await response.text()


async def test_only_the_file_that_the_url_means_is_kept_for_long(settings):
    async with gateway(settings) as http:
        for path, kept in (
            (asset_path("dashboard.js"), True),
            ("/assets/dashboard.js?v=0", False),
            ("/assets/dashboard.js", False),
        ):
            async with http.get(path) as response:
                assert response.status == 200
                assert ("immutable" in response.headers["Cache-Control"]) is kept, path
