"""Real servers for every test that asks: embedded Postgres and Valkey.

Each test has a private database, made from a template.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from shared.settings import Settings
from tests.support.databases import own_database, template
from tests.support.servers import embedded_postgres, embedded_redis, quick_folder
from tests.support.stack import Stack, running

hypothesis_settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
hypothesis_settings.register_profile(
    "thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for `make test`, which runs files side by side.

    The tests of a file stay together, and so do those of the launcher, which share ports.
    """
    for item in items:
        file = item.location[0]
        item.add_marker(pytest.mark.xdist_group("launcher" if file.startswith("tests/e2e/") else file))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server with a migrated template database; yields the DSN of a superuser."""
    with quick_folder() as folder, embedded_postgres(folder) as dsn, template(dsn):
        yield dsn


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    with own_database(postgres, f"test_{next(_numbers)}") as dsn:
        yield dsn


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An empty database of the server."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Every period at a tenth; sources below `tmp_path/data`."""
    (tmp_path / "data").mkdir()
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        storage=tmp_path / "storage",
        sources=[f"file://{tmp_path}/data/"],
        port=0,
        slots=2,
        time_scale=0.1,
        log_format="console",
    )


@pytest.fixture(scope="session")
def stack(postgres: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One warm stack for the tests that only submit jobs.

    It has a gateway and a worker with two slots, on a database of their own.
    """
    url = redis_server.rpartition("/")[0] + "/1"
    with own_database(postgres, "stack") as dsn, running(dsn, url, tmp_path_factory.mktemp("stack")) as stack:
        yield stack
