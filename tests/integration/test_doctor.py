"""`doctor`: each check finds a real fault, and its advice, followed to the letter, mends it.

Faults that no test can make here, such as a wrong clock, are stand-in facts.
"""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import redis
import structlog

from api_service.doctor.checks import CHECKS, verdicts
from api_service.doctor.facts import Package
from api_service.doctor.look import look
from api_service.services.workers import WorkerService
from shared.core.facts import Clock
from shared.db.migrate import upgrade_blocking
from shared.db.pool import connect
from shared.db.uploads import UploadStore
from shared.db.workers import WorkerStore
from shared.settings import Settings, agreed
from shared.spec.version import STATE_VERSION
from tests.support.databases import as_role, with_database
from tests.support.gateway import publish
from tests.support.servers import embedded_redis

ROOT = Path(__file__).parents[2]
VERSION = "0.1.0"
LEASE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory):
    with embedded_redis(tmp_path_factory.mktemp("doctor")) as url:
        yield url


@pytest.fixture
def settings(database_url, own_redis, tmp_path):
    (tmp_path / "storage").mkdir()
    return Settings(database_url=database_url, redis_url=own_redis, storage=tmp_path / "storage", slots=1)


@pytest.fixture
def admin(postgres, database_url):
    """A superuser in the test's own database."""
    dsn = with_database(postgres, database_url.rpartition("/")[2])
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(postgres):
    """The DSN of a role of its own, without CREATEROLE, in a database of its own that it has not migrated."""
    name, password = f"gristmill_doctor_{os.getpid()}_{secrets.token_hex(3)}", secrets.token_hex(8)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO {name}")
        yield with_database(as_role(postgres, name, password), name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute(f"DROP ROLE {name}")


def found(settings):
    return {each.check: each for each in verdicts(asyncio.run(look(settings)))}


def follow(connection, finding):
    """Run each statement of an advice."""
    assert finding.level != "ok"
    for statement in finding.advice.partition("; then")[0].split(";"):
        connection.execute(statement)


def beat(at, *, version=VERSION, able=2, state_version=STATE_VERSION, slots=2, settings=None):
    """The first heartbeat of a worker at a database; its name."""
    name = f"wrk_{secrets.token_hex(4)}"

    async def run():
        pool = connect(at.database_url, name="test", size=1)
        await WorkerStore(pool).beat(
            name, host="h", pid=1, version=version, slots=slots, able=able, draining=False,
            state_version=state_version, settings=settings,
        )  # fmt: skip
        await pool.close()

    asyncio.run(run())
    return name


def test_a_sound_installation_has_no_error_but_that_of_the_tests_own_postgres(settings):
    beat(settings, settings=agreed(settings))
    seen = found(settings)

    assert list(seen) == list(CHECKS)
    assert [name for name, each in seen.items() if each.level != "ok"] == ["durability"]
    assert seen["durability"].advice.startswith("Remove fsync from the command line of Postgres")
    assert all((each.advice == "") == (each.level == "ok") for each in seen.values())
    assert "fit gristmill 0.1.0" in seen["packages"].found


def test_a_database_that_is_not_migrated(role, settings):
    empty = settings.model_copy(update={"database_url": role})
    seen = found(empty)
    assert (seen["migrations"].level, seen["migrations"].advice) == (
        "error",
        "Run `gristmill server migrate`",
    )
    assert "workers" not in seen

    ran = service("migrate", settings=empty)
    assert ran.returncode == 0, ran.stderr
    assert found(empty)["migrations"].level == "ok"


def test_a_database_of_a_newer_version(settings, admin):
    admin.execute("UPDATE gristmill_migrations.version SET version_num = '9999'")
    finding = found(settings)["migrations"]
    assert finding.level == "error"
    assert "this version knows only" in finding.found


@pytest.mark.parametrize(
    "broken",
    [
        "REVOKE CREATE ON DATABASE {database} FROM {service}",
        "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC, {service}",
        "ALTER TABLE gristmill.workers OWNER TO {admin}",
        "ALTER SCHEMA gristmill_migrations OWNER TO {admin}",
        "ALTER TABLE gristmill_migrations.version OWNER TO {admin}",
        "ALTER SCHEMA results OWNER TO {admin}",
    ],
)
def test_a_right_that_the_service_lacks(settings, admin, broken):
    service_role, database = re.match(r"postgresql://([^:]+):.*/(\w+)$", settings.database_url).groups()
    assert found(settings)["rights"].level == "ok"
    me = admin.execute("SELECT current_user").fetchone()[0]
    for statement in broken.format(database=database, service=service_role, admin=me).split(";"):
        admin.execute(statement)

    finding = found(settings)["rights"]
    assert finding.level == "error"
    follow(admin, finding)
    seen = found(settings)
    assert (seen["rights"].level, seen["migrations"].level) == ("ok", "ok")


def test_a_table_of_results_that_another_role_owns(settings, admin):
    job = asyncio.run(publish(settings, {"k": "string"}, [("a",)]))
    admin.execute(f"ALTER TABLE gristmill_results.{job} OWNER TO {admin.info.user}")
    finding = found(settings)["rights"]
    assert job in finding.found
    follow(admin, finding)
    assert found(settings)["rights"].level == "ok"


def test_a_superuser_is_more_than_the_service_needs(settings, postgres, database_url):
    superuser = settings.model_copy(
        update={"database_url": with_database(postgres, database_url.rpartition("/")[2])}
    )
    assert found(superuser)["least_rights"].level == "warning"


def test_a_role_that_may_run_programs(role, settings, admin):
    own = settings.model_copy(update={"database_url": role})
    admin.execute(f"GRANT pg_execute_server_program TO {role.rpartition('/')[2]}")
    finding = found(own)["least_rights"]
    assert finding.level == "warning"
    follow(admin, finding)
    assert found(own)["least_rights"].level == "ok"


def test_readers_that_the_service_may_not_make(role, settings, admin):
    own = settings.model_copy(update={"database_url": role})
    upgrade_blocking(role)
    tenant = f"t{secrets.token_hex(4)}"
    made = service("keys", "add", "x", "--tenant", tenant, settings=own)
    assert made.returncode == 0, made.stderr
    finding = found(own)["readers"]
    assert finding.level == "warning"
    assert f"CREATE ROLE gristmill_reader_{tenant}" in finding.advice
    try:
        follow(admin, finding)
        assert service("migrate", settings=own).returncode == 0
        assert found(own)["readers"].level == "ok"
    finally:
        admin.execute(f"DROP ROLE gristmill_reader_{tenant}")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("ALTER ROLE {reader} CREATEDB BYPASSRLS", "{reader} is BYPASSRLS, {reader} is CREATEDB"),
        ("GRANT pg_write_all_data TO {reader}", "{reader} is a member of pg_write_all_data"),
        ("GRANT {reader} TO {login} WITH ADMIN OPTION", "{login} may make other roles members of {reader}"),
        ("GRANT INSERT ON results_{tenant}.sales TO {reader}", "{reader} may INSERT results_{tenant}.sales"),
        ("GRANT CREATE ON SCHEMA results_{tenant} TO PUBLIC", "every role may CREATE results_{tenant}"),
        (
            "GRANT USAGE ON SCHEMA gristmill TO {reader}; GRANT SELECT ON gristmill.jobs TO {reader}",
            "{reader} may SELECT gristmill.jobs, {reader} may USAGE gristmill",
        ),
        ("GRANT SELECT ON results_{other}.sales TO {reader}", "{reader} may SELECT results_{other}.sales"),
        ("GRANT USAGE ON SCHEMA results_{other} TO {reader}", "{reader} may USAGE results_{other}"),
        ("GRANT SELECT ON {table} TO {reader}", "{reader} may SELECT {table}"),
        ("GRANT SELECT ON results_{tenant}.sales TO PUBLIC", "every role may SELECT results_{tenant}.sales"),
        ("GRANT USAGE ON SCHEMA results_{tenant} TO PUBLIC", "every role may USAGE results_{tenant}"),
        ("GRANT SELECT ON {table} TO PUBLIC", "every role may SELECT {table}"),
        (
            "GRANT SELECT (k) ON results_{other}.sales TO {reader}",
            "{reader} may SELECT (k) results_{other}.sales",
        ),
        ("GRANT UPDATE (k) ON {own} TO {reader}", "{reader} may UPDATE (k) {own}"),
        ("GRANT SELECT (error) ON gristmill.jobs TO PUBLIC", "every role may SELECT (error) gristmill.jobs"),
        (
            (
                "GRANT SELECT ON results_{tenant}.sales TO {reader} WITH GRANT OPTION; SET ROLE {reader}; "
                "GRANT SELECT ON results_{tenant}.sales TO {login}; RESET ROLE"
            ),
            "{reader} may grant SELECT results_{tenant}.sales",
        ),
        (
            (
                "GRANT SELECT ON {table} TO {login} WITH GRANT OPTION; SET ROLE {login}; "
                "GRANT SELECT ON {table} TO {reader} WITH GRANT OPTION; RESET ROLE"
            ),
            "{reader} may SELECT {table}",
        ),
    ],
)
def test_a_reader_that_may_do_more_than_read_the_results_of_its_tenant(settings, admin, broken, told):
    tenant, other, login = (
        f"t{secrets.token_hex(4)}",
        f"t{secrets.token_hex(4)}",
        f"login_{secrets.token_hex(4)}",
    )
    names = {"tenant": tenant, "other": other, "login": login, "reader": f"gristmill_reader_{tenant}"}
    for name, owner in (("own", tenant), ("table", other)):
        job = asyncio.run(publish(settings, {"k": "string"}, [("a",)], name="sales", tenant=owner))
        names[name] = f"gristmill_results.{job}"
    admin.execute(f"CREATE ROLE {login} IN ROLE {names['reader']}")
    try:
        assert found(settings)["reader_rights"].level == "ok"
        admin.execute(broken.format(**names))
        finding = found(settings)["reader_rights"]
        assert (finding.level, finding.found) == (
            "warning", f"Readers may do more than read the results of their tenant: {told.format(**names)}"
        )  # fmt: skip
        follow(admin, finding)
        assert found(settings)["reader_rights"].level == "ok"
    finally:
        admin.execute(f"DROP OWNED BY {login}; DROP ROLE {login}")


def test_more_connections_than_the_role_may_open(role, settings, admin):
    own = settings.model_copy(update={"database_url": role})
    upgrade_blocking(role)
    admin.execute(f"ALTER ROLE {role.rpartition('/')[2]} CONNECTION LIMIT 21")
    beat(own, slots=2)  # 19 for a gateway, 9 for a worker, 1 for a command
    finding = found(own)["connections"]
    assert finding.level == "error"
    assert finding.found == "1 gateways and 1 workers open up to 29 connections, of 21"
    admin.execute(finding.advice.partition(";")[0])
    assert found(own)["connections"].level == "ok"


def test_more_connections_than_postgres_admits(settings):
    facts = asyncio.run(look(settings))
    server = replace(facts.postgres.server, max_connections=22, reserved_connections=3)
    few = replace(facts, postgres=replace(facts.postgres, server=server, sessions={"psql": 2}))
    finding = {each.check: each for each in verdicts(few)}["connections"]
    assert finding.level == "error"
    assert finding.advice.startswith("ALTER SYSTEM SET max_connections = 30;")  # 20 / 0.8 + 3 + 2


def test_a_session_that_may_lose_what_it_was_told(role, settings, admin):
    own = settings.model_copy(update={"database_url": role})
    with psycopg.connect(role, autocommit=True) as connection:
        off = {name for (name,) in connection.execute("SELECT name FROM pg_settings WHERE source = 'user'")}
    assert off == set()
    admin.execute(f"ALTER ROLE {role.rpartition('/')[2]} SET synchronous_commit = off")
    advice = found(own)["durability"].advice.split("; ")
    [cure] = [each for each in advice if each.startswith("ALTER ROLE")]
    admin.execute(cure)
    assert not [each for each in found(own)["durability"].advice.split("; ") if each.startswith("ALTER")]


def test_workers(settings):
    assert found(settings)["workers"].found == "No worker lives, so jobs wait"
    beat(settings, able=0)
    assert found(settings)["workers"].level == "error"
    beat(settings, version="0.0.9")
    finding = found(settings)["workers"]
    assert (finding.level, "0.0.9" in finding.found) == ("warning", True)


def test_workers_of_another_state_version(settings):
    beat(settings, state_version=STATE_VERSION + 1)
    assert found(settings)["workers"].level == "error"


def test_a_worker_with_other_settings(settings):
    beat(settings, settings=agreed(settings))
    assert found(settings)["agreement"].found == "1 workers have the settings of this machine"
    beat(settings, settings=None)
    finding = found(settings)["agreement"]
    unknown = "1 of 2 workers are of an earlier version, which tells no settings"
    assert (finding.level, finding.found) == ("warning", unknown)
    folders = {"sources": ["file:///b/", "file:///a/"], "protected_folders": [Path("/a/x"), Path("/a/y")]}
    unlike = settings.model_copy(update={"tenant_running_jobs": 2} | folders)
    name = beat(settings, settings=agreed(unlike))

    finding = found(settings)["agreement"]
    told = f"{name} of 3 workers have another value than this machine: "
    assert (finding.level, finding.found) == (
        "warning",
        told + "GRISTMILL_PROTECTED_FOLDERS, GRISTMILL_SOURCES, GRISTMILL_TENANT_RUNNING_JOBS. "
        + unknown.replace("2", "3"),
    )  # fmt: skip
    turned = unlike.model_copy(update={name: value[::-1] for name, value in folders.items()})
    assert name not in found(turned)["agreement"].found


async def test_a_gateway_logs_a_worker_with_other_settings_once(settings):
    pool = connect(settings.database_url, name="test", size=2)
    store = WorkerStore(pool)
    try:
        for name, more in (("same", {}), ("other", {"max_bytes": 1}), ("old", None)):
            told = None if more is None else agreed(settings.model_copy(update=more))
            await store.beat(
                name, host="h", pid=1, version="0", slots=1, able=1, draining=False, settings=told
            )  # fmt: skip
        service = WorkerService(store, timedelta(seconds=10), settings)
        with structlog.testing.capture_logs() as logged:
            for _ in range(2):
                await service.compare()
    finally:
        await pool.close()

    assert logged == [
        {
            "event": "settings.differ", "log_level": "warning", "worker": "other", "host": "h",
            "settings": ["GRISTMILL_MAX_BYTES"],
        }
    ]  # fmt: skip


async def test_workers_on_later_pages_are_compared_and_those_that_are_gone_are_not(
    settings, admin, monkeypatch
):
    monkeypatch.setattr("shared.db.workers.PAGE_WORKERS", 2)
    unlike = agreed(settings.model_copy(update={"max_bytes": 1}))
    pool = connect(settings.database_url, name="test", size=2)
    store = WorkerStore(pool)
    try:
        for no in range(6):
            told = unlike if no in {1, 5} else agreed(settings)
            await store.beat(
                f"w{no}", host="h", pid=1, version=VERSION, slots=1, able=1, draining=False, settings=told
            )  # fmt: skip
        admin.execute(
            "UPDATE gristmill.workers SET seen_at = now() - interval '1 hour' WHERE id IN ('w0', 'w1')"
        )
        assert [worker.id for worker in await store.live(LEASE)] == ["w2", "w3", "w4", "w5"]
        with structlog.testing.capture_logs() as logged:
            await WorkerService(store, LEASE, settings).compare()
    finally:
        await pool.close()

    assert [each["worker"] for each in logged] == ["w5"]
    facts = await look(settings)
    assert len(facts.postgres.cluster.workers) == 4


def test_a_redis_that_evicts(settings, own_redis):
    with redis.Redis.from_url(own_redis) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        finding = found(settings)["redis_eviction"]
        assert finding.level == "warning"
        client.execute_command(*finding.advice.partition(",")[0].split())
    assert found(settings)["redis_eviction"].level == "ok"


def test_a_redis_that_takes_no_writes(settings, own_redis):
    with redis.Redis.from_url(own_redis) as client:
        client.replicaof("127.0.0.1", 1)
        try:
            assert found(settings)["redis"].level == "error"
        finally:
            client.replicaof("NO", "ONE")
        client.config_set("maxmemory", 1)
        try:
            seen = found(settings)
            assert (seen["redis"].level, seen["redis_memory"].level) == ("error", "warning")
        finally:
            client.config_set("maxmemory", 0)
    assert found(settings)["redis"].level == "ok"


def test_a_redis_whose_disk_is_full(settings):
    facts = asyncio.run(look(settings))
    info = {**facts.redis.info, "aof_last_write_status": "err"}
    seen = {each.check: each for each in verdicts(replace(facts, redis=replace(facts.redis, info=info)))}
    assert seen["redis_persistence"].level == "warning"
    old = {"redis_version": "6.0.16", "maxmemory_policy": "noeviction"}
    seen = {each.check: each for each in verdicts(replace(facts, redis=replace(facts.redis, info=old)))}
    assert seen["redis"].found == "Redis 6.0.16 is too old"


@pytest.mark.parametrize(
    ("database", "redis_url"),
    [
        ("mysql://a@127.0.0.1/x", "127.0.0.1:6379"),
        ("postgresql://a:b@127.0.0.1:none/x", "redis://127.0.0.1:none"),
        ("postgresql://127.0.0.1:1/x?sslmode=odd", "redis://127.0.0.1:1/0?ssl_odd=1"),
        ("nonsense", "nonsense"),
    ],
)
def test_urls_that_are_none(settings, database, redis_url):
    seen = found(settings.model_copy(update={"database_url": database, "redis_url": redis_url}))
    assert (seen["postgres"].level, seen["redis"].level) == ("error", "error")


def test_servers_that_do_not_answer(settings):
    away = settings.model_copy(
        update={"database_url": "postgresql://a:b@127.0.0.1:1/x", "redis_url": "redis://127.0.0.1:1/0"}
    )
    seen = found(away)
    assert (seen["postgres"].level, seen["redis"].level) == ("error", "error")
    assert not {"rights", "migrations", "workers", "redis_eviction", "postgres_clock"} & set(seen)


@pytest.mark.parametrize(
    ("ahead", "level"), [(0.4, "ok"), (-3.0, "warning"), (3.0, "warning"), (90, "error")]
)
def test_a_wrong_clock(settings, ahead, level):
    facts = asyncio.run(look(settings))
    clock = Clock(ahead=ahead, doubt=0.01)
    wrong = replace(
        facts, postgres=replace(facts.postgres, clock=clock), redis=replace(facts.redis, clock=clock)
    )
    seen = {each.check: each for each in verdicts(wrong)}
    assert (seen["postgres_clock"].level, seen["redis_clock"].level) == (level, level)
    assert abs(facts.postgres.clock.ahead) < 1, "the servers of the tests share this clock"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version_number": 140_012, "version": "14.12"}, "Postgres 14.12 is too old"),
        ({"replica": True}, "a standby"),
        ({"encoding": "SQL_ASCII"}, "SQL_ASCII"),
    ],
)
def test_a_postgres_that_does_not_fit(settings, changes, said):
    facts = asyncio.run(look(settings))
    server = replace(facts.postgres.server, **changes)
    seen = {
        each.check: each for each in verdicts(replace(facts, postgres=replace(facts.postgres, server=server)))
    }
    assert seen["postgres"].level == "error"
    assert said in seen["postgres"].found


def test_storage_that_is_not_there_is_made_as_advised(settings, tmp_path):
    gone = settings.model_copy(update={"storage": tmp_path / "gone" / "deep"})
    finding = found(gone)["storage"]
    assert finding.level == "error"
    command = re.search(r"`(mkdir .*?)`", finding.advice)[1]
    subprocess.run(["sh", "-ec", command], check=True)
    assert found(gone)["storage"].level == "ok"


def test_storage_that_is_a_file_and_storage_by_a_relative_name(settings, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    assert found(settings.model_copy(update={"storage": tmp_path / "file"}))["storage"].level == "error"
    monkeypatch.chdir(tmp_path)
    assert found(settings.model_copy(update={"storage": Path("storage")}))["storage"].level == "warning"


def test_storage_that_cannot_be_written(settings):
    settings.storage.chmod(0o500)
    ran = service(
        "doctor",
        "--output",
        "json",
        settings=settings,
        before=["tests.support.capless", sys.executable, "-m"],
    )
    finding = {each["check"]: each for each in json.loads(ran.stdout)}["storage"]
    assert (ran.returncode, finding["level"]) == (1, "error")
    assert "Permission denied" in finding["found"]
    command = re.search(r"`(chmod .*?)`", finding["advice"])[1]
    subprocess.run(["sh", "-ec", command], check=True)
    assert found(settings)["storage"].level == "ok"


def test_storage_below_a_folder_that_may_not_be_entered(settings):
    settings.storage.parent.chmod(0o000)
    powerless = ["tests.support.capless", sys.executable, "-m"]
    try:
        ran = service("doctor", "--output", "json", settings=settings, before=powerless)
    finally:
        settings.storage.parent.chmod(0o700)
    finding = {each["check"]: each for each in json.loads(ran.stdout)}["storage"]
    assert (finding["level"], "Permission denied" in finding["found"]) == ("error", True)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"bytes_free": 5, "bytes_total": 100}, "warning"),
        ({"bytes_free": 0, "bytes_total": 100}, "error"),
        ({"files_free": 5, "files_total": 1000}, "error"),
        ({"bytes_free": 50, "bytes_total": 100, "files_free": 0, "files_total": 0}, "ok"),
    ],
)
def test_little_room(settings, changes, level):
    facts = asyncio.run(look(settings))
    seen = {each.check: each for each in verdicts(replace(facts, storage=replace(facts.storage, **changes)))}
    assert seen["storage_room"].level == level


def test_the_folder_of_another_installation(settings):
    async def known(upload):
        pool = connect(settings.database_url, name="test", size=1)
        await UploadStore(pool).insert("default", upload, filename=None, size=1, sha256="0" * 64)
        await pool.close()

    folder = settings.storage / "uploads" / "default"
    folder.mkdir(parents=True)
    asyncio.run(known("upl_known"))
    assert found(settings)["storage_shared"].level == "error"
    (folder / "upl_known").write_text("x")
    assert found(settings)["storage_shared"].level == "ok"
    (folder / "upl_strange").write_text("x")
    assert found(settings)["storage_shared"].level == "ok", "it may be under way"
    os.utime(folder / "upl_strange", (time.time() - 7200,) * 2)
    finding = found(settings)["storage_shared"]
    assert (finding.level, "upl_strange" in finding.found) == ("warning", True)


def test_a_variable_that_is_no_setting(settings, monkeypatch):
    monkeypatch.setenv("GRISTMILL_STORGE", "/x")
    finding = found(settings)["settings"]
    assert finding.found.startswith("No setting has the name GRISTMILL_STORGE (is it GRISTMILL_STORAGE?)")


def test_contradictions_of_settings(settings, tmp_path):
    def level(check, **changes):
        return found(settings.model_copy(update=changes))[check].level

    assert level("access", host="0.0.0.0") == "error"
    assert service("keys", "add", "NAME", settings=settings).returncode == 0
    assert level("access", host="0.0.0.0") == "ok"
    assert level("proxy", public_url="https://app.example.com/gristmill") == "warning"
    assert level("proxy", public_url="http://127.0.0.1:8080") == "ok"
    assert level("periods", time_scale=0.1) == "warning"
    assert level("chunks", chunk_bytes=1000) == "warning"
    assert level("sources", sources=[f"file://{tmp_path}/"]) == "ok"
    assert level("sources", sources=[f"file://{tmp_path}/none/{{tenant}}/"]) == "warning"
    assert level("memory", slots=10_000) == "warning"


def test_the_advice_about_memory_fits(settings):
    many = settings.model_copy(update={"slots": 1000})
    [advised] = re.findall(r"GRISTMILL_SLOT_MEMORY_BYTES=(\d+)", found(many)["memory"].advice)
    fitting = many.model_copy(update={"slot_memory_bytes": int(advised)})
    assert found(fitting)["memory"].level == "ok"


def test_a_trusted_proxy_without_a_key(settings):
    from ipaddress import ip_network

    assert (
        found(settings.model_copy(update={"trusted_proxies": [ip_network("10.0.0.0/8")]}))["access"].level
        == "warning"
    )


def test_a_native_library_that_is_off_or_missing(settings, monkeypatch):
    monkeypatch.setenv("GRISTMILL_NATIVE", "off")
    off = found(settings.model_copy(update={"native": "off"}))["native"]
    assert (off.level, "GRISTMILL_NATIVE is off" in off.found) == ("warning", True)
    facts = asyncio.run(look(settings))
    assert {each.check: each for each in verdicts(facts)}["native"].level == "warning"
    needed = replace(facts, settings=settings.model_copy(update={"native": "require"}))
    assert {each.check: each for each in verdicts(needed)}["native"].level == "error"


def test_packages_and_open_files_that_do_not_suffice(settings):
    facts = asyncio.run(look(settings))
    packages = (
        Package(name="arq", required="==0.28.*", installed="0.26.0", fits=False),
        Package(name="redis", required=">=5", installed=None, fits=False),
    )
    poor = replace(facts, machine=replace(facts.machine, packages=packages, open_files=256))
    seen = {each.check: each for each in verdicts(poor)}
    assert (
        seen["packages"].found == "Packages do not fit: arq 0.26.0 (not ==0.28.*), redis is missing (not >=5)"
    )
    assert (seen["packages"].level, seen["open_files"].level) == ("error", "warning")


def test_the_packages_are_those_of_the_extra_server(settings):
    facts = asyncio.run(look(settings))
    by_name = {each.name: each for each in facts.machine.packages}
    assert {"asyncpg", "aiohttp", "pandas", "httpx2"} <= set(by_name)
    assert "pytest" not in by_name
    assert all(each.fits for each in by_name.values())


def service(*words, settings=None, before=(), **env):
    known = {name: value for name, value in os.environ.items() if not name.startswith("GRISTMILL_")}
    if settings:
        env |= {
            "GRISTMILL_DATABASE_URL": settings.database_url,
            "GRISTMILL_REDIS_URL": settings.redis_url,
            "GRISTMILL_STORAGE": str(settings.storage),
            "GRISTMILL_SLOTS": "1",
        }
    return subprocess.run(
        [sys.executable, "-m", *before, "api_service", *words],
        cwd=ROOT, env=known | env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_tells_each_check_and_ends_with_1_for_an_error(settings):
    ran = service("doctor", settings=settings)
    assert ran.returncode == 1, "the Postgres of the tests is not durable"
    assert re.search(r"^ok       postgres +Postgres \d+", ran.stdout, re.MULTILINE)
    assert re.search(r"^warning  workers .*\n +-> Run `gristmill server worker`$", ran.stdout, re.MULTILINE)
    lines = service("doctor", "--output", "ndjson", settings=settings).stdout.splitlines()
    assert [json.loads(line)["check"] for line in lines] == list(CHECKS)


def test_settings_that_cannot_be_read_are_findings():
    ran = service("doctor", "--output", "json", GRISTMILL_PORT="x", GRISTMILL_REDIS_URL="redis://x")
    assert ran.returncode == 1
    assert [(each["level"], each["found"].partition(":")[0]) for each in json.loads(ran.stdout)] == [
        ("error", "GRISTMILL_DATABASE_URL"),
        ("error", "GRISTMILL_PORT"),
    ]
