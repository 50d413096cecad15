"""The services know the newest migration without Alembic; a migration converts the rows that are there."""

import asyncio
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg.types.json import Json
from sqlalchemy.ext.asyncio import create_async_engine

import shared.migrations
from shared.db.head import head
from shared.db.migrate import config, upgrade_blocking
from shared.spec.values import parse_duration
from shared.spec.version import STATE_VERSION
from tests.support.databases import with_database

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"
VERSIONS = Path(shared.migrations.__file__).with_name("versions")


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
    asyncio.run(_migrate_to(dsn, revision))


async def _migrate_to(dsn: str, revision: str) -> None:
    def upgrade(connection):
        alembic = config()
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, revision)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn))
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS gristmill_migrations")
        await connection.run_sync(upgrade)
    await engine.dispose()


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


def test_the_state_version_has_a_migration():
    names = [path.stem for path in VERSIONS.glob("*_state_*.py")]
    assert max(int(name.rsplit("_", 1)[1]) for name in names) == STATE_VERSION


@pytest.mark.parametrize(
    ("before", "migration", "old", "new"),
    [("0007", "0008", 3, 4), ("0008", "0009", 4, 5), ("0009", "0010", 5, 6)],
)
def test_a_job_that_an_older_state_version_began_is_planned_again_and_others_are_left_alone(
    unmigrated, before, migration, old, new
):
    migrate_to(unmigrated, before)
    with psycopg.connect(unmigrated, autocommit=True) as connection:
        for job_id, state, phase, version in (
            ("scanning", "running", "scanning", old),
            ("merging", "paused", "merging", old),
            ("failed", "failed", "scanning", old),
            ("cancelling", "cancelling", "scanning", old),
            ("over", "succeeded", "publishing", old),
            ("new", "running", "scanning", new),
        ):
            ended = "now()" if state in {"failed", "succeeded"} else "NULL"
            connection.execute(
                "INSERT INTO gristmill.jobs (id, spec, spec_digest, state, phase, plan, epoch, finished_at)"
                f" VALUES (%s, '{{}}', '', %s, %s, '{{}}', 2, {ended})",
                [job_id, state, phase],
            )
            for kind, unit in (("plan", "done"), ("chunk", "leased"), ("merge", "pending")):
                connection.execute(
                    "INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, worker,"
                    " deadline_at) VALUES (%s, %s, 0, 2, %s, %s, 'w', %s)",
                    [job_id, kind, unit, version, "now" if unit == "leased" else None],
                )
        connection.execute("CREATE SCHEMA IF NOT EXISTS gristmill_results")
        connection.execute("CREATE TABLE gristmill_results.merging (a int)")
        migrate_to(unmigrated, migration)

        jobs = connection.execute("SELECT id, phase, epoch, plan IS NULL FROM gristmill.jobs").fetchall()
        assert {row[0]: row[1:] for row in jobs} == {
            "scanning": ("planning", 3, True),
            "merging": ("planning", 3, True),
            "failed": ("planning", 3, True),
            "cancelling": ("planning", 3, True),
            "over": ("publishing", 2, False),
            "new": ("scanning", 2, False),
        }
        units = connection.execute(
            "SELECT job_id, string_agg(kind || ' ' || state || ' ' || state_version || ' ' || epoch, ', '"
            " ORDER BY id) FROM gristmill.units GROUP BY job_id"
        ).fetchall()
        assert dict(units) == {
            "scanning": f"plan pending {new} 3",
            "merging": f"plan pending {new} 3",
            "failed": f"plan cancelled {new} 3",
            "cancelling": f"plan cancelled {new} 3",
            "over": f"plan done {old} 2, chunk leased {old} 2, merge pending {old} 2",
            "new": f"plan done {new} 2, chunk leased {new} 2, merge pending {new} 2",
        }
        [table] = connection.execute("SELECT to_regclass('gristmill_results.merging')").fetchone()
        assert table is None


def test_the_index_of_the_units_may_be_built_before_the_update_as_the_docs_say(unmigrated):
    [statement] = re.findall(r"`(CREATE INDEX CONCURRENTLY units_read [^`]+)`", DEPLOY.read_text())
    migrate_to(unmigrated, "0017")
    with psycopg.connect(unmigrated, autocommit=True) as connection:

        def built() -> tuple[int, str, bool]:
            return connection.execute(
                "SELECT indexrelid, pg_get_indexdef(indexrelid), indisvalid FROM pg_index"
                " WHERE indexrelid = 'gristmill.units_read'::regclass"
            ).fetchone()

        connection.execute(statement)
        before = built()
        upgrade_blocking(unmigrated)
        assert built() == before
        connection.execute("DROP INDEX gristmill.units_read")
        connection.execute((VERSIONS / "0018_minutes.sql").read_text())
        assert built()[1:] == before[1:]


def test_keys_from_before_there_were_scopes_have_all_rights_and_no_end(unmigrated):
    """So has a key that a gateway of the version before makes after the migration."""
    insert = "INSERT INTO gristmill.api_keys (id, tenant, name, sha256) VALUES (%s, 'team', 'laptop', %s)"
    migrate_to(unmigrated, "0010")
    with psycopg.connect(unmigrated, autocommit=True) as connection:
        connection.execute(insert, ["before", b"a" * 32])
        upgrade_blocking(unmigrated)
        connection.execute(insert, ["after", b"b" * 32])

        found = connection.execute("SELECT id, scopes, job, parents, expires_at FROM gristmill.api_keys")
        assert {row[0]: row[1:] for row in found} == dict.fromkeys(
            ("before", "after"), (["admin"], None, [], None)
        )
        for scopes in ("{}", "{write}", "{read,write}"):
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute("UPDATE gristmill.api_keys SET scopes = %s", [scopes])
