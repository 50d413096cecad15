"""Real servers for every test that asks: embedded Postgres and Valkey, one private database a test, made from a template."""

import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from shared.db.migrate import upgrade_blocking
from shared.settings import Settings
from tests.support import transitions
from tests.support.servers import embedded_postgres, embedded_redis
from tests.support.stack import Stack, running

hypothesis_settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
hypothesis_settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

TEMPLATE = f"gristmill_template_{os.getpid()}"
_numbers = itertools.count(1)


def with_database(dsn: str, name: str) -> str:
    head, _, tail = dsn.rpartition("/")
    query = "?" + tail.partition("?")[2] if "?" in tail else ""
    return f"{head}/{name}{query}"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a migrated template database; yields the DSN of its maintenance database."""
    with embedded_postgres(tmp_path_factory.mktemp("postgres")) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        upgrade_blocking(with_database(dsn, TEMPLATE))
        with psycopg.connect(with_database(dsn, TEMPLATE), autocommit=True) as connection:
            transitions.install(connection)
        yield dsn
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)")


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    name = f"gristmill_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield with_database(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


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
    """One warm stack for the tests that only submit jobs: a gateway and a worker with two slots, on a database of their own."""
    name = f"gristmill_stack_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    with running(with_database(postgres, name), redis_server.rpartition("/")[0] + "/1", tmp_path_factory.mktemp("stack")) as stack:
        yield stack
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
