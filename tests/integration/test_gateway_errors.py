"""Failures around a request: unknown URLs, bytes that are no HTTP, servers that are away or frozen."""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from api_service import server
from api_service.services.readiness import Readiness, Ready
from shared.db.migrate import upgrade
from shared.db.pool import connect
from shared.db.workers import WorkerStore
from shared.doorbell import Doorbell, redis_pool
from tests.support.gateway import PROBLEM_KEYS, database, gateway, insert_job, problem_of, spec_for

NOWHERE = "127.0.0.1:1"


async def test_an_unknown_url_is_not_found(settings):
    async with gateway(settings) as http:
        for path in ("/nope", "/v1", "/v1/jobs/", "/v1/jobs/x/units/1", "/v1/%2e%2e/etc"):
            async with http.get(path) as response:
                problem = await problem_of(response)
                assert (problem["status"], problem["code"]) == (404, "not_found"), path
                assert problem["detail"].endswith("a path does not end with /") == path.endswith("/")


async def test_a_wrong_method_says_which_are_right(settings):
    async with gateway(settings) as http, http.put("/v1/jobs") as response:
        problem = await problem_of(response)

    assert (problem["status"], problem["code"]) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1:2", True), ("a b", False), ("x" * 129, False), ("<script>", False), ("", False)],
)
async def test_a_sane_request_id_is_kept_and_any_other_replaced(settings, sent, kept):
    async with gateway(settings) as http, http.get("/livez", headers={"X-Request-Id": sent}) as response:
        assert (response.headers["X-Request-Id"] == sent) is kept
        assert kept or re.fullmatch("req_[0-9a-z]{26}", response.headers["X-Request-Id"])


async def raw(http, data: bytes) -> bytes:
    url = urlsplit(str(http._base_url))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "data",
    [
        b"NOT HTTP AT ALL\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http_get_a_problem_too(settings, data):
    async with gateway(settings) as http:
        head, _, body = (await raw(http, data)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.0 400 ")
    assert b"Content-Type: application/problem+json" in head
    assert b"X-Request-Id: req_" in head
    assert all(f'"{key}":'.encode() in body for key in PROBLEM_KEYS)


async def test_a_chunked_body_that_is_malformed_is_a_bad_request(settings):
    head = (
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    async with gateway(settings) as http:
        answer = await raw(http, head + b"zz\r\n")

    assert b" 400 " in answer.splitlines()[0]
    assert b'"code":"bad_request"' in answer


async def test_a_ready_gateway_says_so_and_a_missing_redis_only_degrades_it(settings):
    async with gateway(settings) as http, http.get("/readyz") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ok")
    async with gateway(settings.model_copy(update={"redis_url": f"redis://{NOWHERE}"})) as http:
        async with http.get("/readyz") as response:
            assert (response.status, (await response.json())["status"]) == (200, "degraded")
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            assert response.status == 202


@asynccontextmanager
async def frozen_server():
    """Accepts connections and never says a word; yields host:port."""
    server = socket.create_server(("127.0.0.1", 0))
    try:
        yield "{}:{}".format(*server.getsockname())
    finally:
        server.close()


async def test_a_frozen_redis_delays_no_submit(settings):
    async with (
        frozen_server() as address,
        gateway(settings.model_copy(update={"redis_url": f"redis://{address}"})) as http,
    ):
        started = time.monotonic()
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            assert response.status == 202
        assert time.monotonic() - started < 2


async def assert_unavailable(http) -> None:
    requests = [
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/results/a/rows"),
        ("GET", "/readyz"),
    ]

    async def ask(method: str, path: str) -> None:
        body = {"json": unreadable_spec()} if path == "/v1/jobs" and method == "POST" else {}
        async with http.request(method, path, **body) as response:
            problem = await problem_of(response)
        assert (problem["status"], problem["code"], problem["retryable"]) == (
            503,
            "database_unavailable",
            True,
        ), (method, path)
        assert response.headers["Retry-After"] == "1"

    async def look(path: str, method: str = "GET") -> None:
        form = {"data": {"expected": "1"}} if method == "POST" else {}
        async with http.request(method, path, **form) as response:
            assert (response.status, response.content_type) == (503, "text/html"), path
            assert response.headers["Retry-After"] == "1"
            text = await response.text()
        assert "database_unavailable" in text
        assert re.findall('<a href="([^"]+)">Try again</a>', text) == ([path] if method == "GET" else [])

    pages = ("/", "/jobs?state=failed", "/jobs/job_x", "/results", "/new")
    await asyncio.gather(
        *(ask(method, path) for method, path in requests),
        *map(look, pages),
        look("/jobs/job_x/cancel", "POST"),
    )
    async with http.get("/livez") as response:
        assert response.status == 200


def unreadable_spec() -> dict:
    return {"source": {"uris": ["upload:upl_x"]}, "group_by": [], "aggregates": [{"fn": "count"}]}


async def test_without_postgres_everything_but_livez_is_unavailable_at_once(settings):
    async with (
        gateway(settings.model_copy(update={"database_url": f"postgresql://u:p@{NOWHERE}/x"})) as http,
        asyncio.timeout(5),
    ):
        await assert_unavailable(http)


async def test_with_a_frozen_postgres_every_request_is_answered_within_the_deadline(settings):
    async with (
        frozen_server() as address,
        gateway(settings.model_copy(update={"database_url": f"postgresql://u:p@{address}/x"})) as http,
    ):
        async with asyncio.timeout(5):
            await assert_unavailable(http)


async def test_a_gateway_started_before_its_database_is_ready_once_that_is_there_and_migrated(
    settings, capsys
):
    async with database(settings) as connection:
        await connection.execute(
            "DROP SCHEMA gristmill, gristmill_results, results, gristmill_migrations CASCADE"
        )
    real = urlsplit(settings.database_url)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    late = settings.model_copy(
        update={
            "database_url": settings.database_url.replace(f"{real.hostname}:{real.port}", f"127.0.0.1:{port}")
        }
    )

    async with gateway(late) as http:
        async with http.get("/readyz") as response:
            assert (response.status, (await problem_of(response))["code"]) == (503, "database_unavailable")
        async with forwarding(port, real.hostname, real.port):
            async with http.get("/readyz") as response:
                assert (response.status, (await problem_of(response))["code"]) == (503, "not_migrated")
            async with http.get("/v1/jobs") as response:
                assert (response.status, (await problem_of(response))["code"]) == (503, "not_migrated")
            await upgrade(settings.database_url)
            async with http.get("/readyz") as response:
                assert response.status == 200
            async with http.get("/v1/jobs") as response:
                assert response.status == 200


async def test_a_crowd_of_health_checks_asks_postgres_once(settings, monkeypatch):
    """They share one connection: a queue before it would let the next check wait for all the others."""
    asked, able = [], WorkerStore.able
    monkeypatch.setattr(WorkerStore, "able", lambda store, lease: asked.append(lease) or able(store, lease))
    async with AsyncExitStack() as closing:
        pool, doorbell = (
            connect(settings.database_url, name="test", size=1),
            Doorbell(redis_pool(settings.redis_url)),
        )
        closing.push_async_callback(pool.close)
        closing.push_async_callback(doorbell.close)
        health = Readiness(pool, doorbell, timedelta(seconds=1))
        answers = await asyncio.gather(*(health.check() for _ in range(100)))

    assert set(answers) == {Ready(redis=True, live=0, able=0)}
    assert len(asked) == 1


@asynccontextmanager
async def forwarding(port: int, host: str, to: int):
    """A TCP proxy on *port*; its connections are cut when the block ends."""
    writers = []

    async def pump(reader, writer) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        finally:
            writer.close()

    async def connected(reader, writer) -> None:
        there, back = await asyncio.open_connection(host, to)
        writers.extend([writer, back])
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


async def test_a_gateway_recovers_from_a_cut_connection_to_postgres(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{job_id}") as response:
            assert response.status == 200
        async with database(settings) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'gristmill-gateway'"
            )
        statuses = []
        while 200 not in statuses:
            async with http.get(f"/v1/jobs/{job_id}") as response:
                statuses.append(response.status)
        assert set(statuses) <= {200, 503}


def start(settings, **changes: str):
    environment = {
        "PATH": os.environ["PATH"],
        "GRISTMILL_DATABASE_URL": settings.database_url,
        "GRISTMILL_REDIS_URL": settings.redis_url,
        "GRISTMILL_STORAGE": str(settings.storage),
        "GRISTMILL_PORT": "0",
        **changes,
    }
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    return asyncio.create_subprocess_exec(
        sys.executable, "-m", "api_service", "serve", env=environment, **pipes
    )


async def test_serve_says_its_url_and_ends_gracefully_on_sigterm(settings):
    process = await start(settings)
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stderr.readline(), 30)
    while b"gateway.listening" not in line:
        line = await asyncio.wait_for(process.stderr.readline(), 30)
    assert re.search(rb'"url": ?"http://127\.0\.0\.1:[0-9]+"', line)
    process.send_signal(signal.SIGTERM)
    _, rest = await asyncio.wait_for(process.communicate(), 15)

    assert process.returncode == 0
    assert b"gateway.stopped" in rest
    assert b"Traceback" not in rest


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"GRISTMILL_HOST": "0.0.0.0"}, 2, b"loopback"),
        ({"GRISTMILL_PORT": "70000"}, 2, b"GRISTMILL_PORT"),
        ({"GRISTMILL_PORT": "taken"}, 1, b"Cannot listen on 127.0.0.1"),
    ],
)
async def test_serve_refuses_what_it_cannot_do_in_one_plain_sentence(settings, changes, code, words):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if changes.get("GRISTMILL_PORT") == "taken":
            changes = {"GRISTMILL_PORT": str(taken.getsockname()[1])}
        process = await start(settings, **changes)
        _, said = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == code
    assert words in said
    assert b"Traceback" not in said


async def test_a_gateway_with_hardly_any_open_files_still_takes_a_connection(settings, monkeypatch):
    monkeypatch.setattr(server, "_raise_descriptor_limit", lambda: server.SPARE_DESCRIPTORS - 24)
    async with gateway(settings) as http, http.get("/livez") as response:
        assert response.status == 200
