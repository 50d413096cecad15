"""A connection that Postgres ends is DatabaseUnavailable, and the next borrower gets a new one."""

import asyncio
import struct
import time

import asyncpg
import pytest

from shared.db.pool import connect
from shared.errors import DatabaseUnavailable

FAREWELL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"


async def test_a_query_between_the_servers_farewell_and_its_hanging_up_finds_the_database_away(database_url):
    pool = connect(database_url, name="test", size=1)
    try:
        async with pool.connection() as connection:
            protocol = connection._con._protocol
        protocol.data_received(b"E" + struct.pack("!I", 4 + len(FAREWELL)) + FAREWELL)
        with pytest.raises(DatabaseUnavailable):
            async with pool.transaction() as connection:
                await connection.execute("SELECT 1")
        async with pool.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await pool.close()


async def test_a_connection_is_lent_for_a_time_and_longer_if_that_is_said(database_url):
    pool = connect(database_url, name="test", size=1, seconds=0.5)
    try:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            async with pool.transaction() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        assert time.monotonic() - started < 10
        async with pool.transaction() as connection:
            await pool.extend(connection, 60)
            assert await connection.fetchval("SELECT 1 FROM pg_sleep(1)") == 1
    finally:
        await pool.close()


async def test_postgres_does_not_go_on_with_what_nobody_waits_for(database_url):
    pool, other = (
        connect(database_url, name="impatient", size=1, seconds=0.5),
        connect(database_url, name="test", size=1),
    )
    at_work = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'impatient' AND state = 'active'"
    )
    try:
        with pytest.raises(DatabaseUnavailable):
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_sleep(600)")
        async with other.connection() as connection, asyncio.timeout(30):
            while await connection.fetchval(at_work):
                pass
    finally:
        await pool.close()
        await other.close()


async def ask_after_abort(pool):
    async with pool.connection() as connection:
        pool.abort()
        await connection.execute("SELECT 1")


async def test_a_pool_with_a_limit_ends_what_is_lent_too(database_url):
    pool = connect(database_url, name="test", size=1, seconds=60)
    try:
        with pytest.raises(DatabaseUnavailable):
            await ask_after_abort(pool)
    finally:
        await pool.close()


async def test_an_abort_between_two_steps_of_a_statement_finds_the_database_away(database_url, monkeypatch):
    pool = connect(database_url, name="test", size=1)
    prepare = asyncpg.Connection._get_statement

    async def aborted(*arguments, **options):
        statement = await prepare(*arguments, **options)
        pool.abort()
        return statement

    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    monkeypatch.setattr(asyncpg.Connection, "_get_statement", aborted)
    for lend in (pool.connection, pool.transaction):
        with pytest.raises(DatabaseUnavailable):
            async with lend() as connection:
                await connection.fetchval("SELECT 2")
    monkeypatch.undo()
    with pytest.raises(AttributeError, match="nothing"):
        async with pool.connection() as connection:
            await connection.nothing()
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT 3") == 3
    await pool.close()


async def test_a_table_that_a_migration_has_changed_since_is_a_reason_to_try_again(database_url):
    """Postgres refuses the statement that was prepared before, once, in a transaction."""
    pool = connect(database_url, name="test", size=1)
    other = await asyncpg.connect(database_url)
    try:
        async with pool.transaction() as connection:
            await connection.fetch("SELECT * FROM gristmill.workers")
        await other.execute("ALTER TABLE gristmill.workers ADD COLUMN b integer")
        with pytest.raises(DatabaseUnavailable, match="try again"):
            async with pool.transaction() as connection:
                await connection.fetch("SELECT * FROM gristmill.workers")
        async with pool.transaction() as connection:
            assert await connection.fetch("SELECT * FROM gristmill.workers") == []
    finally:
        await other.close()
        await pool.close()
