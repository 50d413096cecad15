"""One warm stack for the tests that only submit jobs: a gateway and one worker with two slots, on a database of their own."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import TEMPLATE, with_database
from tests.support.stack import Stack, running


@pytest.fixture(scope="session")
def stack(postgres: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"gristmill_stack_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    with running(with_database(postgres, name), redis_server.rpartition("/")[0] + "/1", tmp_path_factory.mktemp("stack")) as stack:
        yield stack
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
