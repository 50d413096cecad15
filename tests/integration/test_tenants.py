"""The schema and the readers of a tenant are made when needed, though others make, drop or forbid them."""

import asyncio
import secrets
from types import SimpleNamespace

import psycopg
import pytest
from structlog.testing import capture_logs

from shared.core.entities import NewVersion
from shared.db import publishing, tenants
from shared.db.jobs import JobStore
from shared.db.migrate import upgrade
from shared.db.pool import connect
from shared.errors import DatabaseUnavailable, OutputNameTaken, OutputNotPermitted
from shared.spec.version import STATE_VERSION
from tests.support.databases import as_role, with_database
from tests.support.gateway import publish
from tests.support.stack import eventually
from tests.support.store import COLUMNS

SHAPE = {"k": "string"}


@pytest.fixture
def tenant() -> str:
    """A tenant of one test alone: roles belong to the whole cluster."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def superuser(postgres, database_url):
    """A superuser's connection to the test's database, through another driver."""
    with psycopg.connect(
        with_database(postgres, database_url.rpartition("/")[2]), autocommit=True
    ) as connection:
        yield connection


@pytest.fixture
def login(superuser, database_url):
    """Makes a login with any roles, and returns its DSN."""
    made = []

    def make(*roles: str, attributes: str = "") -> str:
        name = f"login_{secrets.token_hex(6)}"
        superuser.execute(
            f"CREATE ROLE {name} LOGIN PASSWORD 'x' {attributes} "
            f"{'IN ROLE ' if roles else ''}{', '.join(roles)}"
        )
        made.append(name)
        return as_role(database_url, name, "x")

    yield make
    for name in made:
        superuser.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def role_of(dsn: str) -> str:
    return dsn.partition("://")[2].partition(":")[0]


def read(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


async def test_a_named_result_of_a_new_tenant_is_published_by_a_worker(stack, tenant):
    spec = {
        "source": {"uris": [stack.write("new.csv", "k\na\nb\na\n")]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }
    spec |= {"output": {"name": "sales"}}
    pool = connect(stack.database_url, name="test", size=1)
    try:
        known = {
            "idempotency_key": None,
            "priority": 5,
            "labels": {},
            "result_name": "sales",
            "kept_versions": 3,
            "uploads": [],
            "deadline": None,
            "state_version": STATE_VERSION,
        }
        job, _ = await JobStore(pool).submit(tenant, spec, "d", **known)
    finally:
        await pool.close()
    state = f"SELECT state, error FROM gristmill.jobs WHERE id = '{job.id}' AND finished_at IS NOT NULL"
    assert eventually(lambda: stack.sql(state), "the end of the job") == [("succeeded", None)]
    assert stack.sql(f"SELECT k, count FROM results_{tenant}.sales ORDER BY k") == [("a", 2), ("b", 1)]


async def test_readers_read_results_of_their_tenant_named_or_not_and_of_no_other(settings, login, tenant):
    other = f"{tenant}_b"
    table = await publish(settings, SHAPE, [("mine",)], tenant=tenant)
    await publish(settings, SHAPE, [("old",)], name="sales", tenant=tenant)
    await publish(settings, SHAPE, [("mine",)], name="sales", tenant=tenant)
    await publish(settings, SHAPE, [("other",)], name="sales", tenant=other)
    theirs = await publish(settings, SHAPE, [("other",)], tenant=other)
    reader = login(f"gristmill_reader_{tenant}")

    assert read(reader, f"SELECT k FROM results_{tenant}.sales") == [("mine",)]
    assert read(reader, f"SELECT k FROM gristmill_results.{table}") == [("mine",)]
    for relation in (f"results_{other}.sales", f"gristmill_results.{theirs}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            read(reader, f"SELECT * FROM {relation}")


async def test_two_publishers_of_a_new_tenant_at_once_make_its_schema_and_its_readers_once(settings, tenant):
    pool = connect(settings.database_url, name="test")

    async def second():
        async with pool.transaction() as tx:
            return await tenants.prepare(tx, tenant, named=True)

    try:
        async with pool.transaction() as first, pool.connection() as look:
            assert await tenants.prepare(first, tenant, named=True) == f"gristmill_reader_{tenant}"
            waiting = asyncio.create_task(second())
            while not waiting.done() and not await look.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
            ):
                await asyncio.sleep(0)
            assert not waiting.done()
        assert await waiting == f"gristmill_reader_{tenant}"
    finally:
        await pool.close()


ADVISORY = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_making_the_schema_of_a_tenant_takes_no_lock_that_a_reader_could_keep(
    settings, tenant, superuser
):
    pool = connect(settings.database_url, name="test", size=1)
    try:
        async with pool.transaction() as tx:
            await tenants.prepare(tx, tenant, named=True)
            assert superuser.execute(ADVISORY).fetchone() == (0,)
    finally:
        await pool.close()


async def test_two_migrators_at_once_wait_for_each_other_at_a_lock_that_no_reader_could_keep(
    settings, superuser
):
    look = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(superuser.info.dsn, password=superuser.info.password) as other:
        other.execute("COMMENT ON SCHEMA gristmill_migrations IS 'mine for now'")
        waiting = asyncio.create_task(upgrade(settings.database_url))
        async with asyncio.timeout(60):
            while not waiting.done() and superuser.execute(look).fetchone() == (0,):
                await asyncio.sleep(0)
        assert not waiting.done()
        assert superuser.execute(ADVISORY).fetchone() == (0,)
    await waiting


async def test_a_role_that_another_database_of_the_cluster_is_making_is_waited_for(
    settings, tenant, superuser
):
    pool = connect(settings.database_url, name="test")

    async def prepared():
        async with pool.transaction() as tx:
            return await tenants.prepare(tx, tenant, named=True)

    try:
        with superuser.transaction():
            superuser.execute(f"CREATE ROLE gristmill_reader_{tenant}")
            waiting = asyncio.create_task(prepared())
            async with pool.connection() as look:
                while not waiting.done() and not await look.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted"
                ):
                    await asyncio.sleep(0)
        assert await waiting == f"gristmill_reader_{tenant}"
    finally:
        await pool.close()


async def test_a_schema_that_was_dropped_is_made_again(settings, superuser, login, tenant):
    await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)
    superuser.execute(f"DROP SCHEMA results_{tenant} CASCADE")
    await publish(settings, SHAPE, [("b",)], name="sales", tenant=tenant)

    assert read(login(f"gristmill_reader_{tenant}"), f"SELECT k FROM results_{tenant}.sales") == [("b",)]


async def test_a_schema_that_is_dropped_in_the_middle_of_a_publish_is_made_by_the_next_try(
    world, settings, superuser, tenant, monkeypatch
):
    await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)
    job_id = await world.planned(1, name="sales", tenant=tenant)
    for _ in ("chunk", "merge"):
        await world.commit(await world.claimed(job_id=job_id))
        await world.advance(job_id)
    lease = await world.claimed(job_id=job_id)
    version = NewVersion(name="sales", version=2, rows=0, digest="sha256:0", columns=COLUMNS, key_columns=1)

    async def prepared_then_dropped(tx, tenant, *, named):
        reader = await tenants.prepare(tx, tenant, named=named)
        superuser.execute(f"DROP SCHEMA results_{tenant} CASCADE")
        return reader

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "tenants", SimpleNamespace(prepare=prepared_then_dropped))
        with pytest.raises(DatabaseUnavailable, match=f"results_{tenant}"):
            await world.publishing.publish(lease, version, lambda _: {}, tenant)
    await world.publishing.publish(lease, version, lambda _: {}, tenant)
    assert await world.value(f"SELECT count(*) FROM results_{tenant}.sales") == 0


async def test_without_the_right_to_make_a_schema_the_grant_that_is_needed_is_named(
    settings, superuser, tenant
):
    database, service = superuser.info.dbname, role_of(settings.database_url)
    grant = f"GRANT CREATE ON DATABASE {database} TO {service}"
    superuser.execute(f"REVOKE CREATE ON DATABASE {database} FROM {service}")
    await publish(settings, SHAPE, [("a",)], tenant=tenant)
    with pytest.raises(OutputNotPermitted, match=grant):
        await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)
    superuser.execute(grant)
    await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)


async def test_a_schema_of_anothers_with_the_name_is_named_with_what_would_help(settings, superuser, tenant):
    superuser.execute(f"CREATE SCHEMA results_{tenant}")
    with pytest.raises(OutputNotPermitted) as raised:
        await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)
    cure = f"ALTER SCHEMA results_{tenant} OWNER TO {role_of(settings.database_url)}"
    assert cure in raised.value.detail
    superuser.execute(cure)
    await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)


async def test_a_service_that_may_not_make_roles_publishes_says_once_what_to_run_and_that_helps(
    settings, superuser, login, tenant
):
    plain = settings.model_copy(update={"database_url": login(role_of(settings.database_url))})
    with capture_logs() as logged:
        tables = [await publish(plain, SHAPE, [("a",)], name="sales", tenant=tenant) for _ in range(2)]
    (said,) = [line["error"] for line in logged if line["event"] == "reader.missing"]
    assert f"CREATE ROLE gristmill_reader_{tenant}," in said

    superuser.execute(f"CREATE ROLE gristmill_reader_{tenant}")
    await upgrade(plain.database_url)
    reader = login(f"gristmill_reader_{tenant}")
    assert read(reader, f"SELECT k FROM results_{tenant}.sales") == [("a",)]
    assert all(read(reader, f"SELECT k FROM gristmill_results.{table}") == [("a",)] for table in tables)


async def test_a_view_of_the_users_own_with_the_name_is_left_alone(settings, superuser, tenant):
    await publish(settings, SHAPE, [("a",)], name="first", tenant=tenant)
    superuser.execute(f"CREATE VIEW results_{tenant}.sales AS SELECT 1::bigint AS _id, 'mine' AS k")
    with pytest.raises(OutputNameTaken):
        await publish(settings, SHAPE, [("a",)], name="sales", tenant=tenant)


async def test_the_longest_name_of_a_tenant_has_readers_of_its_own(settings, login):
    ends = ["a", "b"]
    longest = [f"t{secrets.token_hex(19)}{end}" for end in ends]
    assert {len(name) for name in longest} == {40}
    for name, end in zip(longest, ends, strict=True):
        await publish(settings, SHAPE, [(end,)], name="sales", tenant=name)
    assert read(login(f"gristmill_reader_{longest[0]}"), f"SELECT k FROM results_{longest[0]}.sales") == [
        ("a",)
    ]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(login(f"gristmill_reader_{longest[0]}"), f"SELECT k FROM results_{longest[1]}.sales")
