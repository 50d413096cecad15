"""Crowds of clients, slow and silent ones: a submit is still answered, and the gateway's memory is bounded.

A submit is still answered, and the gateway's memory stays bounded.
`make test` runs a tenth of the crowd; GRISTMILL_GATEWAY_STRESS=1 runs all of it. benchmarks/gateway_stress.py
prints the figures.
"""

import asyncio
import os
import resource
import socket
import time
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from api_service import app, server
from api_service.handlers import bodies
from shared.addresses import network
from shared.db.jobs import JobStore
from shared.db.pool import connect
from tests.support.crowd import CROWDS, Crowd, submits
from tests.support.gateway import database, gateway, problem_of, publish, spec_for
from tests.support.stack import running

SHARE = float(os.environ.get("GRISTMILL_GATEWAY_STRESS", "0.1"))
ROWS = 200_000
SUBMIT_SECONDS = 5.0
MORE_MEGABYTES = 150


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    with running(database_url, redis_url, tmp_path, workers=0) as stack:
        yield stack


# fault matrix: 52
async def test_crowds_do_not_stop_a_submit_and_take_little_memory(stack):
    process = psutil.Process(stack.processes[0].popen.pid)
    job_id = stack.submit(spec_for_stack(stack))["id"]
    before = process.memory_info().rss
    for kind, number in CROWDS.items():
        async with Crowd(stack, job_id) as crowd:
            await crowd.gather(kind, max(1, int(number * SHARE)))
            times = await submits(stack, spec_for_stack(stack), 10)
            assert max(times) < SUBMIT_SECONDS, kind
        assert (process.memory_info().rss - before) / 1e6 < MORE_MEGABYTES, kind
    assert stack.sql("SELECT count(*) FROM gristmill.jobs") == [(1 + 10 * len(CROWDS),)]


def spec_for_stack(stack) -> dict:
    return {
        "source": {"uris": [f"file://{stack.data}/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }


async def big_result(settings, width: int = 100) -> str:
    """A result of some 20 MB."""
    job_id = await publish(settings, {"k": "string"}, [("x" * width,)], name="big")
    async with database(settings) as connection:
        count = ROWS * 100 // width
        await connection.execute(
            f"INSERT INTO gristmill_results.{job_id} "
            f"SELECT n, repeat('x', {width}) FROM generate_series(2, {count}) n"
        )
    return job_id


async def deaf_reader(http, path: str) -> socket.socket:
    """A client that asks and then reads nothing."""
    url = urlsplit(str(http._base_url))
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, (url.hostname, url.port))
    await asyncio.get_running_loop().sock_sendall(
        client, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    )
    return client


async def streaming(settings) -> int:
    """The number of connections to Postgres in the middle of an export."""
    async with database(settings) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = $1 AND state <> 'idle'"
        )
        return await connection.fetchval(query, "gristmill-streams")


# fault matrix: 52
async def test_readers_that_read_nothing_take_turns_and_are_cut_off(settings, monkeypatch):
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 4.0)
    await big_result(settings)
    async with gateway(settings) as http, asyncio.timeout(60):
        deaf = [await deaf_reader(http, "/v1/results/big/rows?format=csv") for _ in range(6)]
        while await streaming(settings) < 6:
            await asyncio.sleep(0.02)
        async with http.get("/v1/results/big/rows?format=csv") as response:
            assert (
                response.status,
                (await problem_of(response))["code"],
                response.headers["Retry-After"],
            ) == (
                429,
                "too_many_exports",
                "1",
            )
        async with http.get("/v1/results/big/rows") as response:
            assert len((await response.json())["items"]) == 100
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            assert response.status == 202
        while await streaming(settings) > 0:
            await asyncio.sleep(0.02)
        async with http.get("/v1/results/big/rows?format=csv") as response:
            assert (await response.text()).count("\r\n") == ROWS + 1
        for client in deaf:
            client.close()


async def test_a_deaf_reader_of_a_page_is_cut_off(settings, monkeypatch):
    monkeypatch.setattr(server, "UNREAD_SECONDS", 1.0)
    await big_result(settings)
    async with gateway(settings) as http, asyncio.timeout(30):
        deaf = await deaf_reader(http, "/v1/results/big/rows?limit=10000")
        while connections(http) > 0:
            await asyncio.sleep(0.02)
        deaf.close()


def connections(http) -> int:
    """The number of connections that the gateway of this process holds."""
    port = urlsplit(str(http._base_url)).port
    found = psutil.Process().net_connections("tcp")
    return sum(1 for each in found if each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED)


async def raw_connection(
    http, source: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(str(http._base_url))
    return await asyncio.open_connection(url.hostname, url.port, local_addr=(source, 0))


async def test_a_head_that_never_ends_is_cut_off(settings, monkeypatch):
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.5)
    async with gateway(settings) as http, asyncio.timeout(10):
        reader, writer = await raw_connection(http)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert await reader.read() == b""
        writer.close()


async def test_a_body_that_stops_arriving_is_a_bad_request_and_leaves_no_file(settings, monkeypatch):
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 0.5)
    async with gateway(settings) as http, asyncio.timeout(20):
        for head in (b"POST /v1/uploads", b"POST /v1/jobs"):
            reader, writer = await raw_connection(http)
            writer.write(
                head
                + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + b"Content-Length: 100\r\n\r\nabc"
            )
            answer = await reader.readuntil(b"}")
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b'"code":"bad_request"' in answer
            writer.close()
    assert list((settings.storage / "uploads").glob("*/.*.part")) == []


async def test_a_head_that_drips_in_is_cut_off(settings, monkeypatch):
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.5)
    async with gateway(settings) as http, asyncio.timeout(10):
        reader, writer = await raw_connection(http)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        with suppress(ConnectionResetError):  # the end of TCP if a drip arrives at that moment
            assert ended.result() == b""
        writer.close()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("min_upload_bytes_per_second", "stopped arriving"),
        ("max_upload_seconds", "did not arrive within 1 s"),
    ],
)
async def test_an_upload_that_drips_in_is_a_bad_request_and_leaves_no_file(
    settings, monkeypatch, setting, said
):
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 0.5)
    rate, seconds = (2000, 60) if setting == "min_upload_bytes_per_second" else (1, 1)
    settings.min_upload_bytes_per_second, settings.max_upload_seconds = rate, seconds
    async with gateway(settings) as http, asyncio.timeout(20):
        reader, writer = await raw_connection(http)
        writer.write(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000
        )
        answered = asyncio.create_task(reader.readuntil(b"}"))
        while not answered.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert answered.result().startswith(b"HTTP/1.1 400 ")
        assert said.encode() in answered.result()
        writer.close()
    assert list((settings.storage / "uploads").glob("*/.*.part")) == []


async def test_a_spec_that_drips_in_has_a_deadline(settings, monkeypatch):
    monkeypatch.setattr(bodies, "JSON_SECONDS", 0.5)
    async with gateway(settings) as http, asyncio.timeout(20):
        reader, writer = await raw_connection(http)
        writer.write(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100000\r\n\r\n"
        )
        answered = asyncio.create_task(reader.readuntil(b"\r\n"))
        while not answered.done():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        assert b" 400 " in answered.result()
        writer.close()


async def test_without_descriptors_the_oldest_idle_connection_makes_room(settings, monkeypatch):
    monkeypatch.setattr(server, "MAX_DESCRIPTORS", server.SPARE_DESCRIPTORS + 2 * 20)
    async with gateway(settings) as http, asyncio.timeout(20):
        idle = [await raw_connection(http) for _ in range(60)]
        started = time.monotonic()
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            assert response.status == 202
        assert time.monotonic() - started < SUBMIT_SECONDS
        for reader, _ in idle[:40]:
            assert await reader.read() == b""
        assert connections(http) <= 2 * 20
        newest, writer = idle[-1]
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await newest.readline()).startswith(b"HTTP/1.1 200 ")
        for _, each in idle:
            each.close()


async def test_when_no_connection_is_idle_only_health_checks_are_answered(settings, monkeypatch):
    monkeypatch.setattr(server, "MAX_DESCRIPTORS", server.SPARE_DESCRIPTORS + 2 * 2)
    settings.max_connections_per_address = 2
    async with gateway(settings) as http, asyncio.timeout(60):
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            path = response.headers["Location"]
        waiting = [asyncio.create_task(wait(http, path)) for _ in range(2)]
        while connections(http) < 2:
            await asyncio.sleep(0.02)
        silent = [await raw_connection(http) for _ in range(2 * server.RESERVED)]
        for health in ("/livez", "/readyz"):
            async with http.get(health) as response:
                assert (response.status, response.headers["Connection"]) == (200, "close")
        async with http.get(path) as response:
            assert (response.status, (await problem_of(response))["code"]) == (503, "too_many_connections")
        assert connections(http) <= 2 * (2 + server.RESERVED)
        await cancel(settings, path)
        assert [await each for each in waiting] == [200, 200]
        async with http.get(path) as response:
            assert response.status == 200
        for _, writer in silent:
            writer.close()


async def test_one_address_cannot_take_all_connections(settings, monkeypatch):
    monkeypatch.setattr(server, "MAX_DESCRIPTORS", server.SPARE_DESCRIPTORS + 2 * 20)
    async with gateway(settings) as http, asyncio.timeout(60):
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            path = response.headers["Location"]
        other = await raw_connection(http, source="127.0.0.2")
        many = [asyncio.create_task(wait(http, path, force=True)) for _ in range(20)]
        while sum(each.done() for each in many) < 5:
            await asyncio.sleep(0.02)
        await cancel(settings, path)
        said = sorted([await each for each in many])
        assert said == [200] * 15 + [503] * 5
        other[1].write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await other[0].readline()).startswith(b"HTTP/1.1 200 ")
        other[1].close()


async def test_behind_a_trusted_proxy_each_client_has_its_share_and_the_proxy_none(settings):
    proxy = settings.model_copy(
        update={
            "trusted_proxies": [network("127.0.0.1")],
            "max_connections_per_address": 2,
            "api_key": SecretStr("s" * 40),
        }
    )

    def of(client: str) -> dict[str, str]:
        return {"X-Forwarded-For": client, "Authorization": f"Bearer {'s' * 40}"}

    async with gateway(proxy) as http, asyncio.timeout(20):
        async with http.post("/v1/jobs", json=spec_for(settings), headers=of("203.0.113.1")) as response:
            path = response.headers["Location"]
        async with AsyncExitStack() as streams:
            for _ in range(2):
                await streams.enter_async_context(http.get(f"{path}/events", headers=of("203.0.113.1")))
            for each, status in (("203.0.113.1", 503), ("203.0.113.2", 200), ("2001:db8::1", 200)):
                async with http.get(path, headers=of(each)) as response:
                    assert response.status == status
            async with http.get(path, headers=of("203.0.113.1")) as response:
                problem = await problem_of(response)
            assert problem["code"] == "too_many_connections"
            assert "203.0.113.1 has 2 requests under way" in problem["detail"]
            async with http.get("/livez", headers=of("203.0.113.1")) as response:
                assert response.status == 200
            many = [await raw_connection(http) for _ in range(8)]
            async with http.get(path, headers=of("203.0.113.3")) as response:
                assert response.status == 200
        while (await _status(http, path, of("203.0.113.1"))) != 200:
            await asyncio.sleep(0.02)
        for _, writer in many:
            writer.close()


async def _status(http, path: str, headers: dict[str, str]) -> int:
    async with http.get(path, headers=headers) as response:
        return response.status


async def wait(http, path: str, *, force: bool = False) -> int:
    """Wait until the job changes, which it does only when the test cancels it."""
    return await _status(http, path, {"Prefer": "wait=60"} | ({"Connection": "close"} if force else {}))


async def cancel(settings, path: str) -> None:
    pool = connect(settings.database_url, name="test", size=1)
    try:
        await JobStore(pool).cancel("default", path.rpartition("/")[2])
    finally:
        await pool.close()


async def test_readers_that_are_cut_off_leave_no_stack_trace(settings, monkeypatch, caplog):
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 0.5)
    await big_result(settings)
    async with gateway(settings) as http, asyncio.timeout(30):
        with capture_logs() as lines:
            deaf = [await deaf_reader(http, "/v1/results/big/rows?format=csv") for _ in range(4)]
            while sum(line["event"] == "request.cut" for line in lines) < 4:
                await asyncio.sleep(0.02)
        for client in deaf:
            client.close()
    assert [line["error"] for line in lines if line["event"] == "request.cut"] == [
        "the client reads too slowly"
    ] * 4
    assert [record for record in caplog.records if record.exc_info] == []


async def test_readers_of_large_pages_take_turns(settings, monkeypatch):
    monkeypatch.setattr(bodies, "STALLED_SECONDS", 5.0)
    monkeypatch.setattr(app, "PERMIT_SECONDS", 0.1)
    await big_result(settings, width=5000)
    async with gateway(settings) as http, asyncio.timeout(60):
        deaf = [await deaf_reader(http, "/v1/results/big/rows?limit=10000") for _ in range(6)]
        try:
            for expected in ((429, "too_many_exports"), (200, None)):
                answer = None
                while answer != expected:
                    async with http.get("/v1/results/big/rows?limit=1") as response:
                        answer = response.status, (await response.json()).get("code")
        finally:
            for client in deaf:
                client.close()


async def test_without_descriptors_there_is_one_line_and_no_stack_trace(settings, caplog):
    async with gateway(settings) as http, asyncio.timeout(20):
        async with http.get("/livez") as response:
            assert response.status == 200
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        client.setblocking(False)
        with capture_logs() as lines:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                url = urlsplit(str(http._base_url))
                await asyncio.get_running_loop().sock_connect(client, (url.hostname, url.port))
                while not any(line["event"] == "gateway.no_descriptors" for line in lines):
                    await asyncio.sleep(0.02)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.close()
        assert {(line["event"], line["error"]) for line in lines if line["log_level"] == "warning"} == {
            ("gateway.no_descriptors", "Too many open files")
        }
        assert [record for record in caplog.records if record.exc_info] == []
        async with http.get("/readyz") as response:
            assert response.status == 200
