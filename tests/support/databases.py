"""Private databases on the tests' server, made from a migrated template; their role is no superuser."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg

from shared.db.migrate import upgrade_blocking
from tests.support import transitions

TEMPLATE = f"gristmill_template_{os.getpid()}"
SERVICE = f"gristmill_tests_{os.getpid()}"
_PASSWORD = secrets.token_hex(16)


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def as_service(dsn: str) -> str:
    return as_role(dsn, SERVICE, _PASSWORD)


def as_role(dsn: str, role: str, password: str) -> str:
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))


@contextmanager
def template(postgres: str) -> Iterator[None]:
    """The service's role, with the rights that docs/deploy.md names, and a database that it has migrated."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {SERVICE} LOGIN CREATEROLE PASSWORD '{_PASSWORD}'")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
        connection.execute(f"GRANT CREATE ON DATABASE {TEMPLATE} TO {SERVICE}")
    dsn = with_database(as_service(postgres), TEMPLATE)
    upgrade_blocking(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        transitions.install(connection)
    yield
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)")
        connection.execute(f"DROP ROLE {SERVICE}")


@contextmanager
def own_database(postgres: str, purpose: str) -> Iterator[str]:
    """A migrated database, named after its purpose, as its service reaches it.

    *postgres* is the DSN of a superuser.
    """
    name = f"gristmill_{purpose}_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO {SERVICE}")
    try:
        yield with_database(as_service(postgres), name)
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
