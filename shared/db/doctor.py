"""The facts about a Postgres that `doctor` judges. Nothing is changed and nothing is locked."""

import time
from contextlib import suppress

import asyncpg

from shared.core.facts import Cluster, Postgres, Server, clock
from shared.core.relations import reader_role, view_schema
from shared.core.timings import Timings
from shared.db.api_keys import ApiKeyStore
from shared.db.head import head, revision
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import DOCTOR, TENANTS
from shared.db.workers import WorkerStore

MOST_UPLOADS = 100


async def postgres_facts(pool: Pool, timings: Timings) -> Postgres:
    """Raises DatabaseUnavailable."""
    found, cluster = None, None
    with suppress(asyncpg.InsufficientPrivilegeError):  # `foreign` names the tables
        found = await revision(pool)
        cluster = await _cluster(pool, timings) if found == head() else None
    async with pool.connection() as connection:
        server = await DOCTOR.server.fetchrow(connection)
        assert server is not None
        before = time.time()
        now = await DOCTOR.now.fetchval(connection)
        return Postgres(
            clock=clock(before, now, time.time()),
            server=read_row(Server, server),
            sessions={row["name"]: row["sessions"] for row in await DOCTOR.sessions.fetch(connection)},
            unsafe={row["name"]: row["source"] for row in await DOCTOR.unsafe.fetch(connection)},
            foreign=tuple(row["name"] for row in await DOCTOR.foreign_owners.fetch(connection)),
            closed_views=tuple(row["name"] for row in await DOCTOR.closed_views.fetch(connection)),
            revision=found,
            head=head(),
            cluster=cluster,
        )


async def _cluster(pool: Pool, timings: Timings) -> Cluster:
    workers = await WorkerStore(pool).live(timings.lease)
    async with pool.connection() as connection:
        tenants = [row["tenant"] for row in await TENANTS.known.fetch(connection)]
        readers = [reader_role(tenant) for tenant in tenants]
        there = {row["name"] for row in await DOCTOR.roles.fetch(connection, roles=readers)}
        loose = await DOCTOR.loose_readers.fetch(
            connection, tenants=tenants, readers=readers, schemas=[view_schema(each) for each in tenants]
        )
        uploads = await DOCTOR.uploads.fetch(connection, most=MOST_UPLOADS)
    return Cluster(
        workers=tuple(workers),
        has_keys=await ApiKeyStore(pool).any(),
        missing_readers=tuple(sorted(set(readers) - there)),
        loose_readers=tuple((row["found"], row["cure"]) for row in loose),
        uploads=tuple((row["tenant"], row["id"]) for row in uploads),
    )
