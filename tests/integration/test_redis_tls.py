"""Redis behind TLS: a certificate counts only if it has the name of the host."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.doorbell import redis_pool

PEM = Path(__file__).parents[1] / "support" / "certificates" / "localhost.pem"
"""A key and its certificate, which signs itself and names `localhost` only."""


@asynccontextmanager
async def behind_tls(url: str):
    """The port of a TLS server that passes all on to the Redis of *url*."""
    place = urlsplit(url)

    async def one_way(reader, writer):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
        writer.close()

    async def both_ways(reader, writer):
        there, back = await asyncio.open_connection(place.hostname, place.port)
        await asyncio.gather(one_way(reader, back), one_way(there, writer), return_exceptions=True)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    server = await asyncio.start_server(both_ways, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def answer(url: str, host: str, port: int, query: str) -> bool:
    place = urlsplit(url)
    redis = redis_pool(f"rediss://:{place.password or ''}@{host}:{port}/0?{query}")
    try:
        return await redis.ping()
    finally:
        await redis.aclose(close_connection_pool=True)


async def test_a_certificate_of_another_name_is_refused(redis_url):
    trusted = f"ssl_ca_certs={PEM}"
    async with behind_tls(redis_url) as port:
        assert await answer(redis_url, "localhost", port, trusted)
        with pytest.raises(Exception, match=r"certificate is not valid for '127\.0\.0\.1'"):
            await answer(redis_url, "127.0.0.1", port, trusted)


async def test_a_certificate_that_nothing_vouches_for_is_refused_unless_the_url_says_otherwise(redis_url):
    async with behind_tls(redis_url) as port:
        with pytest.raises(Exception, match="certificate verify failed"):
            await answer(redis_url, "localhost", port, "")
        assert await answer(redis_url, "127.0.0.1", port, "ssl_cert_reqs=none")
        assert await answer(redis_url, "127.0.0.1", port, f"ssl_ca_certs={PEM}&ssl_check_hostname=false")
