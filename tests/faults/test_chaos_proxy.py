"""The chaos proxy makes the faults that the fault tests rely on."""

import socket

import asyncpg
import psycopg
import pytest
import redis

from tests.support.chaos_proxy import ChaosProxy


@pytest.fixture
def proxy(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA AUTHORIZATION CURRENT_USER CREATE TABLE things (n integer)")
    with ChaosProxy(database_url) as proxy:
        yield proxy


def things(database_url):
    with psycopg.connect(database_url) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM things ORDER BY n")]


async def insert(connection, n):
    async with connection.transaction():
        await connection.execute("INSERT INTO things VALUES ($1)", n)


async def test_a_proxy_that_is_not_asked_for_anything_is_transparent(proxy, database_url):
    connection = await asyncpg.connect(proxy.url, server_settings={"application_name": "someone"})
    await insert(connection, 1)
    await connection.copy_records_to_table("things", records=[(n,) for n in range(2, 200_000)])
    assert await connection.fetchval("SHOW application_name") == "someone"
    await connection.close()

    assert len(things(database_url)) == 199_999
    assert proxy.faults == 0


async def test_a_commit_whose_reply_is_lost_is_a_commit(proxy, database_url):
    connection = await asyncpg.connect(proxy.url)
    await insert(connection, 1)
    proxy.lose_commit_replies("INSERT INTO things")
    async with connection.transaction():
        await connection.fetchval("SELECT 1")
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await insert(connection, 2)
    connection.terminate()

    assert things(database_url) == [1, 2]
    assert proxy.faults == 1


async def test_a_statement_that_is_cut_never_arrives(proxy, database_url):
    connection = await asyncpg.connect(proxy.url)
    proxy.cut_before("COMMIT")
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await insert(connection, 1)
    connection.terminate()

    assert (things(database_url), proxy.faults) == ([], 1)


async def test_a_copy_is_cut_in_its_middle(proxy, database_url):
    connection = await asyncpg.connect(proxy.url)
    proxy.cut_copies(after=2)
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await connection.copy_records_to_table("things", records=[(n,) for n in range(200_000)])
    connection.terminate()

    assert (things(database_url), proxy.faults) == ([], 1)


async def test_a_black_hole_answers_nothing_and_then_everything(proxy, database_url):
    connection = await asyncpg.connect(proxy.url, server_settings={"application_name": "heart"})
    other = await asyncpg.connect(proxy.url)
    proxy.black_hole("heart")
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT 1", timeout=0.2)
    assert await other.fetchval("SELECT 2") == 2
    proxy.heal()
    late = await asyncpg.connect(proxy.url, server_settings={"application_name": "heart"}, timeout=10)
    assert await late.fetchval("SELECT 3") == 3
    connection.terminate()
    await other.close()
    await late.close()


async def test_reset_and_refuse_end_connections_until_healed(proxy):
    connection = await asyncpg.connect(proxy.url)
    proxy.refuse()
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await connection.fetchval("SELECT 1")
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await asyncpg.connect(proxy.url)
    connection.terminate()
    proxy.heal()
    again = await asyncpg.connect(proxy.url)
    assert await again.fetchval("SELECT 1") == 1
    await again.close()


def test_redis_speaks_through_it_too(redis_url):
    with ChaosProxy(redis_url) as proxy, redis.Redis.from_url(proxy.url) as client:
        assert client.ping()
        with socket.create_connection(("127.0.0.1", proxy.port)) as plain:
            plain.sendall(b"HELLO\r\n")
            assert plain.recv(1000).startswith(b"-NOAUTH")
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                plain.recv(1000)
