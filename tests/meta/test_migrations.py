"""The services know the newest migration without Alembic; a migration converts the rows that are there."""

import os
import subprocess
import sys
from datetime import timedelta

import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from psycopg.types.json import Json

from shared.db.head import head
from shared.db.migrate import config, upgrade_blocking
from shared.spec.durations import parse_duration
from tests.support.databases import with_database


def test_the_head_is_alembics():
    assert head() == ScriptDirectory.from_config(config()).get_current_head()


@pytest.mark.parametrize("module", ["api_service.server", "worker_service.worker"])
def test_a_service_starts_without_alembic(module):
    loaded = (
        f"import {module}, shared.db.head, sys; shared.db.head.head(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


@pytest.fixture
def unmigrated(postgres):
    """An empty database of a superuser."""
    name = f"gristmill_old_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield with_database(postgres, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def migrate_to(dsn: str, revision: str) -> None:
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS gristmill_migrations")
        alembic = config()
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, revision)
    engine.dispose()


FILES = {"source": {"uris": ["file:///data/a.csv"]}, "output": {"versions": 3}, "options": {"deadline": None}}
UPLOADS = {
    "source": {"uris": ["upload:upl_1", "file:///data/upload:upl_2", "upload:upl_3"]},
    "output": {"versions": 100},
    "options": {"deadline": "90m"},
}
INSERT = "INSERT INTO gristmill.jobs (id, spec, spec_digest) VALUES (%s, %s, '')"


def test_what_sql_needs_of_the_specs_that_are_stored_is_put_into_columns(unmigrated):
    """And a gateway of the version before may go on submitting: the columns are null then."""
    migrate_to(unmigrated, "0005")
    with psycopg.connect(unmigrated, autocommit=True) as connection:
        for job_id, spec in (("files", FILES), ("uploads", UPLOADS), ("bare", {})):
            connection.execute(INSERT, [job_id, Json(spec)])
        upgrade_blocking(unmigrated)
        connection.execute(INSERT, ["later", Json(UPLOADS)])

        found = connection.execute("SELECT id, deadline, kept_versions, uploads FROM gristmill.jobs")
        assert {row[0]: row[1:] for row in found} == {
            "files": (None, 3, []),
            "uploads": (timedelta(minutes=90), 100, ["upl_1", "upl_3"]),
            "bare": (None, None, []),
            "later": (None, None, None),
        }


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("315360000s", timedelta(days=3650)),
        ("1h", timedelta(hours=1)),
        ("3650d", timedelta(days=3650)),
    ],
)
def test_postgres_reads_the_deadlines_of_stored_specs_as_python_does(unmigrated, text, length):
    assert parse_duration(text) == length
    with psycopg.connect(unmigrated) as connection:
        [found] = connection.execute("SELECT now() + %s::interval - now()", [text]).fetchone()
        assert found == length
