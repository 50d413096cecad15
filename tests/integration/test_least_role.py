"""The rights that docs/deploy.md asks for suffice to migrate, run jobs, publish and prune."""

import asyncio
import os
import re
import secrets
from pathlib import Path

import psycopg
import pytest

from shared.core.retention import Retention
from shared.db.migrate import upgrade_blocking
from shared.db.pool import connect
from shared.db.pruning import PruneStore
from shared.storage.uploads import UploadFiles
from tests.support.databases import as_role, with_database
from tests.support.stack import running
from worker_service.maintenance.pruner import Pruner

DEPLOY = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()
OWN = DEPLOY.partition("**A Postgres of your own**")[2].partition("- Before Postgres 16")[0]


def statements(role: str, database: str, password: str) -> list[str]:
    """Those of the page, with names and a password of this test's own."""
    create, grant = re.findall(r"^    ([A-Z].*);$", OWN, re.MULTILINE)
    own = create.replace("ROLE gristmill ", f"ROLE {role} ").replace("'…'", f"'{password}'")
    return [own, grant.replace("…", database).replace("TO gristmill", f"TO {role}")]


@pytest.fixture(params=["with CREATEROLE", "without it"])
def service(request, postgres):
    """The DSN of such a role, in a database in which the public may do nothing."""
    name = f"least_{secrets.token_hex(4)}_{os.getpid()}"
    create, grant = statements(name, name, "x")
    if request.param == "without it":
        assert " CREATEROLE" in create
        create = create.replace(" CREATEROLE", "")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(create)
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        connection.execute(grant)
        with psycopg.connect(with_database(postgres, name), autocommit=True) as inside:
            inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        yield with_database(as_role(postgres, name, "x"), name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        for (reader,) in connection.execute(
            "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
            " JOIN pg_roles s ON s.oid = m.member WHERE s.rolname = %s", [name]
        ).fetchall():  # fmt: skip
            connection.execute(f"REVOKE {reader} FROM {name}")
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_the_services_do_all_their_work_with_the_rights_that_the_page_asks_for(
    service, redis_server, tmp_path
):
    upgrade_blocking(service)
    with psycopg.connect(service) as connection:
        [role] = connection.execute(
            "SELECT rolsuper OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles"
            " WHERE rolname = current_user"
        ).fetchall()
    assert role == (False,)
    spec = {
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
        "output": {"name": "least_role", "versions": 1},
    }
    with running(service, redis_server.rpartition("/")[0] + "/5", tmp_path) as stack:
        source = {"source": {"uris": [stack.write("least.csv", "k\na\nb\na\n")], "format": "csv"}}
        jobs = [stack.run(source | spec) for _ in range(2)]
        assert [job["state"] for job in jobs] == ["succeeded"] * 2, jobs
        answer = stack.http.get("/v1/results/least_role/rows").json()
        assert sorted((row["k"], row["count"]) for row in answer["items"]) == [("a", 2), ("b", 1)]
        stack.sql("UPDATE gristmill.versions SET published_at = published_at - interval '30 days'")
        asyncio.run(prune(service, stack.folder / "storage"))
        left = stack.sql("SELECT relation FROM gristmill.versions")
        assert left == [(jobs[1]["id"],)]
        assert stack.sql("SELECT to_regclass(format('gristmill_results.%%I', %s::text))", jobs[0]["id"]) == [
            (None,)
        ]


async def prune(dsn: str, storage: Path) -> None:
    pool = connect(dsn, name="test", size=2)
    try:
        await Pruner(PruneStore(pool), UploadFiles(storage), Retention()).run_once()
    finally:
        await pool.close()
