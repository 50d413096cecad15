"""Building a result's indexes, when an earlier attempt that was thought dead does so too."""

import asyncio

import asyncpg
import pytest

from shared.db import result_tables as ddl
from shared.errors import DatabaseUnavailable
from tests.support.store import COLUMNS

TABLE = "job_indexed"


@pytest.fixture
async def rival(world):
    await world.value(ddl.create_table(TABLE, COLUMNS))
    rival = await asyncpg.connect(world.url)
    yield rival
    await rival.close()


async def test_an_index_that_another_attempt_makes_at_the_same_time_is_waited_for_and_then_found(world, rival, monkeypatch):
    monkeypatch.setattr(ddl, "primary_key", lambda _: "SELECT 1")  # past that step, whose lock keeps the two apart
    await rival.execute("BEGIN")
    await rival.execute(ddl.key_index(TABLE, ["k"]))
    building = asyncio.create_task(world.merging.build_indexes(TABLE, ["k"], []))
    while not building.done() and not await world.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0)
    await rival.execute("COMMIT")

    with pytest.raises(DatabaseUnavailable):
        await building
    await world.merging.build_indexes(TABLE, ["k"], [])


async def test_two_rows_of_one_group_are_refused_by_the_index(world, rival):
    """A bug: no other step would notice."""
    await rival.execute(f"INSERT INTO gristmill_results.{TABLE} VALUES (1, 'same'), (2, 'same')")

    with pytest.raises(asyncpg.UniqueViolationError):
        await world.merging.build_indexes(TABLE, ["k"], [])
