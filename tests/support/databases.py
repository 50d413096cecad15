"""Private databases on the tests' server, made from a migrated template."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

TEMPLATE = f"gristmill_template_{os.getpid()}"


def with_database(dsn: str, name: str) -> str:
    head, _, tail = dsn.rpartition("/")
    query = "?" + tail.partition("?")[2] if "?" in tail else ""
    return f"{head}/{name}{query}"


@contextmanager
def own_database(postgres: str, purpose: str) -> Iterator[str]:
    """A migrated database, named after its purpose."""
    name = f"gristmill_{purpose}_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield with_database(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
