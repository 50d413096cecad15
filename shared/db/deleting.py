"""Deleting at the wish of a user: a job, one version of a result, or a whole result.

Locks are taken in the order of publishing: the job, the name of the result, its versions, its view, its
tables. A job that publishes under the name waits, or was first; nothing that it publishes is deleted.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncpg

from shared.db import result_tables as ddl
from shared.db.jobs import CHANGE_SECONDS
from shared.db.pool import Connection, Pool, Record
from shared.db.statements import DELETING, VERSIONS
from shared.errors import InUse, InvalidState, ResultLocked

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"
"""While a deletion waits for a reader, other readers wait behind it."""


class DeleteStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def job(self, tenant: str, job_id: str) -> bool:
        """Delete a job that is done, with its rows; False if the tenant has no such job.

        Raises InvalidState if it is not done. Raises InUse if its rows are a version of a name, or another
        object shows them, and ResultLocked while another session reads them.
        """
        async with self._pool.transaction() as tx:
            await tx.execute(LOCK_TIMEOUT)
            with _locked(f"job {job_id}"):
                job = await DELETING.lock_job.fetchrow(tx, tenant=tenant, id=job_id)
                if job is None:
                    return False
                if not job["done"]:
                    raise InvalidState(
                        f"Job {job_id} is {job['state']}; cancel it first with "
                        f"POST /v1/jobs/{job_id}/cancel, and delete it once it is done"
                    )
                await self._pool.extend(tx, CHANGE_SECONDS)
                version = await DELETING.version_of_job.fetchrow(tx, job_id=job_id)
                if version is not None and version["name"] is not None:
                    raise InUse(_named(job_id, version))
                await _drop_versions(tx, [job_id] if version is not None else [])
                await DELETING.job.execute(tx, id=job_id)
        return True

    async def version(self, tenant: str, name: str, version: int) -> list[str]:
        """Delete one version of a result; its job, or none if there is none of that number.

        With the only one the result is gone. Raises InUse for the current one of several, and as `job` does.
        """
        async with self._pool.transaction() as tx:
            await tx.execute(LOCK_TIMEOUT)
            with _locked(f"result {name}"):
                current = await VERSIONS.lock_result.fetchval(tx, tenant=tenant, name=name)
                found = await DELETING.versions_of_name.fetch(tx, tenant=tenant, name=name)
                chosen = [row["job_id"] for row in found if row["version"] == version]
                if not chosen:
                    return []
                if version == current and len(found) > 1:
                    raise InUse(
                        f"Version {version} is the current one of result {name}, which has {len(found) - 1} "
                        "other versions; publish a newer one first, or delete the others first, or all of "
                        f"them with DELETE /v1/results/{name}"
                    )
                if version == current:
                    await _drop_view(tx, tenant, name)
                await _drop_versions(tx, chosen)
        return chosen

    async def result(self, tenant: str, name: str) -> list[str]:
        """Delete every version of a result and its view; the jobs of the versions. Raises as `job` does."""
        async with self._pool.transaction() as tx:
            return await delete_result(tx, tenant, name)


async def delete_result(tx: Connection, tenant: str, name: str, *, expired: bool = False) -> list[str]:
    """Delete every version of a result and its view in *tx*; the jobs of the versions.

    With *expired*, only if the current version has expired. A number that a job under way has for its version
    stays its own.
    """
    await tx.execute(LOCK_TIMEOUT)
    with _locked(f"result {name}"):
        current = await VERSIONS.lock_result.fetchval(tx, tenant=tenant, name=name)
        found = await DELETING.versions_of_name.fetch(tx, tenant=tenant, name=name)
        if expired and not any(row["expired"] for row in found if row["version"] == current):
            return []
        gone = [row["job_id"] for row in found]
        if gone:
            await _drop_view(tx, tenant, name)
            await _drop_versions(tx, gone)
    return gone


async def _drop_view(tx: Connection, tenant: str, name: str) -> None:
    """An object of that name that is not Gristmill's view stays."""
    with suppress(asyncpg.WrongObjectTypeError, asyncpg.InsufficientPrivilegeError):
        async with tx.transaction():
            await tx.execute(ddl.drop_view(tenant, name))
    await VERSIONS.set_current.execute(tx, tenant=tenant, name=name, version=None)


async def _drop_versions(tx: Connection, job_ids: list[str]) -> None:
    await DELETING.versions.execute(tx, job_ids=job_ids)
    for job_id in job_ids:
        await tx.execute(ddl.drop_table(job_id))


@contextmanager
def _locked(what: str) -> Iterator[None]:
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise ResultLocked(
            f"Another session reads or changes {what}; nothing was deleted, send the request again"
        ) from error
    except asyncpg.DependentObjectsStillExistError as error:
        raise InUse(
            f"Other objects in Postgres need what {what} would take with it "
            f"({error.detail or error.message}); drop them first"
        ) from error


def _named(job_id: str, version: Record) -> str:
    name, number = version["name"], version["version"]
    others = version["current"] and version["versions"] > 1
    path = f"/v1/results/{name}" + ("" if others else f"/versions/{number}")
    what = f"all {version['versions']} versions of it" if others else "that version"
    return (
        f"Job {job_id} made version {number} of result {name}, and goes after it; "
        f"delete {what} first with DELETE {path}"
    )
