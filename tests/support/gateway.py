"""A gateway in this process on a free port, and results put in place as the workers would."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from api_service.server import serving
from shared.core.entities import NewVersion
from shared.core.timings import Timings
from shared.db.jobs import JobStore
from shared.db.pool import connect
from shared.db.publishing import PublishingStore
from shared.db.result_tables import create_table, primary_key, row_index
from shared.db.units import UnitStore
from shared.spec.version import STATE_VERSION
from tests.support.transitions import UNCHECKED

PROBLEM_KEYS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "request_id",
    "code",
    "category",
    "retryable",
    "errors",
}
SPEC = {"source": {"uris": ["file:///nowhere"]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}


@asynccontextmanager
async def gateway(settings):
    """A client session whose paths are the gateway's."""
    async with serving(settings) as url, aiohttp.ClientSession(base_url=url) as session:
        yield session


def requests_under_way() -> int:
    """Of all gateways in this process: aiohttp runs the handler of each in a task."""
    return sum(task.get_coro().__name__ == "_handle_request" for task in asyncio.all_tasks())


async def problem_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The body of an error, checked for the shape that every error has."""
    assert response.content_type == "application/problem+json", await response.text()
    body = await response.json()
    assert set(body) == PROBLEM_KEYS
    assert body["status"] == response.status
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body


async def rows_of(http, path: str) -> dict:
    async with http.get(path) as response:
        assert response.status == 200, await response.text()
        return json.loads(await response.text(), parse_float=str)


async def all_names(http, path: str) -> list:
    return [item["n"] for item in (await rows_of(http, path))["items"]]


def spec_for(settings, **changes: Any) -> dict[str, Any]:
    """A valid spec of a file below the allowed folder."""
    return SPEC | {"source": {"uris": [settings.sources[0] + "a.csv"]}} | changes


@asynccontextmanager
async def database(settings):
    pool = connect(settings.database_url, name="test", size=2)
    try:
        async with pool.connection() as connection:
            yield connection
    finally:
        await pool.close()


async def insert_job(
    settings,
    *,
    name: str | None = None,
    labels: dict[str, str] | None = None,
    tenant: str = "default",
    kept_versions: int = 3,
    uploads: Sequence[str] = (),
) -> str:
    pool = connect(settings.database_url, name="test", size=2)
    try:
        job, _ = await JobStore(pool).submit(
            tenant,
            SPEC,
            "sha256:0",
            idempotency_key=None,
            priority=5,
            labels=labels or {},
            result_name=name,
            kept_versions=kept_versions,
            uploads=uploads,
            deadline=None,
            state_version=1,
        )
    finally:
        await pool.close()
    return job.id


async def finish_job(settings, job_id: str, *, state: str = "succeeded", **columns: Any) -> None:
    now = datetime.now(UTC)
    values = {
        "state": state,
        "phase": "publishing",
        "started_at": now - timedelta(seconds=1),
        "finished_at": now,
    } | columns
    assignments = ", ".join(f"{column} = ${no}" for no, column in enumerate(values, 2))
    async with database(settings) as connection:
        await connection.execute(UNCHECKED)
        await connection.execute(
            f"UPDATE gristmill.jobs SET {assignments}, revision = revision + 1 WHERE id = $1",
            job_id,
            *values.values(),
        )


async def publish(
    settings, columns: dict[str, str], rows: list[tuple], *, name: str | None = None, tenant: str = "default"
) -> str:
    """A succeeded job whose version table holds *rows*, numbered from 1; returns its id."""
    job_id = await insert_job(settings, name=name, tenant=tenant)
    shape = [{"name": column, "type": kind} for column, kind in columns.items()]
    pool = connect(settings.database_url, name="test", size=2)
    try:
        async with pool.transaction() as tx:
            number = await tx.fetchval("SELECT version FROM gristmill.jobs WHERE id = $1", job_id)
            await tx.execute(create_table(job_id, shape))
            await tx.execute(row_index(job_id))
            await tx.execute(primary_key(job_id))
            numbered = [(number, *row) for number, row in enumerate(rows, 1)]
            await tx.copy_records_to_table(job_id, schema_name="gristmill_results", records=numbered)
            version = NewVersion(
                name=name, version=number, rows=len(rows), digest="sha256:0", columns=shape, key_columns=1
            )
            store = PublishingStore(pool, UnitStore(pool, Timings(), STATE_VERSION))
            result = await store.store_version(tx, job_id, version, tenant)
    finally:
        await pool.close()
    await finish_job(settings, job_id, result=result)
    return job_id
