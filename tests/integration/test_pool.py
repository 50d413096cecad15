"""Connections that Postgres ends are errors of a database that is away, and the next borrower gets a new one."""

import struct

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
