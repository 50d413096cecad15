"""The private names of aiohttp that api_service.server uses are there, and mean what it takes them for."""

import asyncio
import inspect
from types import SimpleNamespace

from aiohttp import web

from api_service import server
from api_service.app_keys import SETTINGS, SHARES
from api_service.shares import Shares

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_aiohttp_has_the_private_names():
    assert inspect.iscoroutinefunction(web.AppRunner._make_server)
    assert {"_current_request", "_messages"} <= set(web.RequestHandler.__slots__)


async def test_a_runner_serves_with_the_bounded_server_and_a_connection_tells_whether_it_is_idle():
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        inside.set()
        await go_on.wait()
        return web.Response(text="done")

    app = web.Application()
    app[SETTINGS] = SimpleNamespace(max_connections_per_address=None, trusted_proxies=[])
    app[SHARES] = Shares()
    app.router.add_get("/", handle)
    runner = server.BoundedRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        async with asyncio.timeout(10):
            while not runner.server.connections:
                await asyncio.sleep(0)
            assert isinstance(runner.server, server.BoundedServer)
            [connection] = runner.server.connections
            assert isinstance(connection, server.Connection)
            assert connection.idle
            writer.write(HEAD + HEAD)
            await inside.wait()
            assert not connection.idle
            go_on.set()
            for _ in range(2):
                await reader.readuntil(b"done")
            while not connection.idle:
                await asyncio.sleep(0)
            connection.abort()
            assert await reader.read() == b""
        writer.close()
    finally:
        await runner.cleanup()
