from collections.abc import AsyncIterator

import pytest

from tests.support.store import World


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    world = World(database_url)
    yield world
    await world.pool.close()
