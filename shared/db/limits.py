"""The limits of tenants, and the counts that keep them.

Each count is made under the lock of the tenant's row (`hold`), in the transaction of the change. So two
changes at the same moment never both take the last place.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import asyncpg

from shared.core.limits import NAMES, UNLIMITED, Limits, Quota, Use, meant
from shared.db.pool import Connection, Pool, Record
from shared.db.statements import LIMITS
from shared.errors import (
    ScanLimitExceeded,
    StorageLimitExceeded,
    TooManyJobs,
    TooManyUploads,
    TransientError,
    UploadLimitExceeded,
)

QUEUE_SECONDS = 5
"""When to try again to submit beyond the limit of queued jobs: a guess."""
DAY_SECONDS = 86_400


class Writing(NamedTuple):
    """A job under way, and the most bytes that its tenant may store."""

    job_id: str
    tenant: str
    most: int


async def hold(tx: Connection, tenant: str) -> Record:
    """Lock a tenant until the end of *tx*; returns its row."""
    row = await LIMITS.hold.fetchrow(tx, tenant=tenant)
    if row is None:
        await LIMITS.add.execute(tx, tenant=tenant)
        row = await LIMITS.hold.fetchrow(tx, tenant=tenant)
        assert row is not None
    return row


async def of_tenant(connection: Connection, tenant: str, defaults: Limits) -> Limits:
    row = await LIMITS.own.fetchrow(connection, tenant=tenant)
    return defaults.overridden(None if row is None else dict(row))


async def admit(
    tx: Connection, tenant: str, job_id: str, limits: Limits, *, dry: bool = False, charged: bool = False
) -> bool:
    """Check the limits of a tenant after *tx* has stored or revived a job; tells whether the job has to wait.

    Raises TooManyJobs, ScanLimitExceeded and StorageLimitExceeded; a *dry* run only the first one.
    A tenant whose bytes cannot be measured now counts as below that limit. The bytes of a job that is
    *charged* have been counted: it never raises ScanLimitExceeded here.
    """
    if not dry and limits.stored_bytes is not None:
        with suppress(asyncpg.LockNotAvailableError):
            check_stored(await measured(tx, tenant), limits.stored_bytes)
    if not (dry or charged) and limits.scan_bytes_per_day is not None:
        scanned = await LIMITS.scanned.fetchrow(tx, tenant=tenant)
        assert scanned is not None
        if scanned["bytes"] >= limits.scan_bytes_per_day:
            raise _scanned(scanned, limits.scan_bytes_per_day, None)
    if limits.queued_jobs is None and limits.running_jobs is None:
        return False
    await hold(tx, tenant)
    running, waits = limits.running_jobs, False
    if running is not None:
        waits = await LIMITS.admitted.fetchval(tx, tenant=tenant, most=running + 1) > running
    if waits:
        await LIMITS.keep_waiting.execute(tx, id=job_id)
    queued = limits.queued_jobs
    if queued is not None and await LIMITS.queued.fetchval(tx, tenant=tenant, most=queued + 1) > queued:
        raise TooManyJobs(
            f"{queued:,} jobs are queued, the most that this tenant may have (its limit queued_jobs); "
            "try again when some have begun, or cancel some",
            quota=Quota(name="queued_jobs", limit=queued, reset=QUEUE_SECONDS),
        )
    return waits


async def measured(connection: Connection, tenant: str) -> int:
    """The bytes that a tenant stores.

    The size of a table needs a lock of it. Raises LockNotAvailableError while another session changes one.
    """
    measuring = connection.transaction()
    await measuring.start()
    try:
        await connection.execute("SET LOCAL lock_timeout = '200ms'")
        stored = await LIMITS.stored.fetchval(connection, tenant=tenant)
    except asyncpg.PostgresError:
        await measuring.rollback()
        raise
    await measuring.rollback()  # it brings back the timeout, even inside another transaction
    return int(stored)


def check_stored(stored: int, most: int) -> None:
    if stored >= most:
        raise StorageLimitExceeded(
            f"The states and results of this tenant take {stored:,} bytes in Postgres, and it may have "
            f"{most:,} (its limit stored_bytes); delete results or jobs, then try again",
            quota=Quota(name="stored_bytes", limit=most),
        )


async def overfull(tx: Connection, job: Writing) -> StorageLimitExceeded | None:
    """The error of *job*, which *tx* has locked, if its tenant stores too much.

    None too while the bytes of another job that failed with this error are still there. Locks the tenant.
    """
    await hold(tx, job.tenant)
    if await LIMITS.leaving.fetchval(tx, tenant=job.tenant):
        return None
    stored = await measured(tx, job.tenant)
    if stored <= job.most:
        return None
    return StorageLimitExceeded(
        f"The states and results of this tenant take {stored:,} bytes in Postgres, and may take "
        f"{job.most:,} (its limit stored_bytes). This job was its youngest under way; delete results, or ask "
        "for fewer groups, then submit it again"
    )


async def refuse_plan(tx: Connection, tenant: str, planned: int, defaults: Limits) -> None:
    """Raise ScanLimitExceeded for a job of *planned* bytes, which its tenant may not scan today.

    Raises TransientError if the limit was unset in the meantime: the job may be planned after all.
    """
    limits = await of_tenant(tx, tenant, defaults)
    if limits.scan_bytes_per_day is None:
        raise TransientError(
            "The limit scan_bytes_per_day of this tenant was unset during the plan, which runs again"
        )
    scanned = await LIMITS.scanned.fetchrow(tx, tenant=tenant)
    assert scanned is not None
    raise _scanned(scanned, limits.scan_bytes_per_day, planned)


def _scanned(scanned: Record, most: int, planned: int | None) -> ScanLimitExceeded:
    reads = "" if planned is None else f"The job reads {planned:,} bytes. "
    never = planned is not None and planned > most
    again = "read fewer bytes, or have the limit raised" if never else "try again after 00:00 UTC"
    return ScanLimitExceeded(
        f"{reads}This tenant may scan {most:,} bytes a day (its limit scan_bytes_per_day) and has scanned "
        f"{scanned['bytes']:,} today; {again}",
        quota=Quota(
            name="scan_bytes_per_day",
            limit=most,
            left=max(0, most - scanned["bytes"]),
            window=DAY_SECONDS,
            reset=scanned["seconds"],
        ),
    )


async def check_uploads(connection: Connection, tenant: str, limits: Limits, *, more: int = 0) -> int:
    """How many bytes the tenant may upload beyond those that it has.

    Raises TooManyUploads or UploadLimitExceeded if it has too many, or would have with *more* uploads.
    """
    found = await LIMITS.uploaded.fetchrow(connection, tenant=tenant)
    assert found is not None
    if limits.uploads is not None and found["uploads"] + more > limits.uploads:
        raise TooManyUploads(
            f"This tenant may have {limits.uploads:,} uploads (its limit uploads), and has as many; delete "
            "some, which GET /v1/uploads lists",
            quota=Quota(name="uploads", limit=limits.uploads),
        )
    if limits.upload_bytes is None:
        return UNLIMITED
    left = limits.upload_bytes - found["bytes"]
    if left < 0:
        raise too_many_bytes(limits.upload_bytes)
    return int(left)


def too_many_bytes(most: int) -> UploadLimitExceeded:
    return UploadLimitExceeded(
        f"The uploads of this tenant may have {most:,} bytes together (its limit upload_bytes), and with "
        "this one they have more; delete some, which GET /v1/uploads lists",
        quota=Quota(name="upload_bytes", limit=most),
    )


class LimitStore:
    """*defaults* are the limits of a tenant that has none of its own."""

    def __init__(self, pool: Pool, defaults: Limits) -> None:
        self._pool, self._defaults = pool, defaults

    async def get(self, tenant: str) -> Limits:
        async with self._pool.connection() as connection:
            return await of_tenant(connection, tenant, self._defaults)

    async def own(self) -> dict[str, dict[str, int | None]]:
        """The own limits of each tenant that is known."""
        async with self._pool.connection() as connection:
            rows = await LIMITS.all.fetch(connection)
        return {row["tenant"]: {name: row[name] for name in NAMES} for row in rows}

    async def set(self, tenant: str, changes: Mapping[str, int | None]) -> None:
        """Change some limits that a tenant has of its own; None is the default."""
        async with self._pool.transaction() as tx:
            row = await hold(tx, tenant)
            before: dict[str, Any] = {name: row[name] for name in NAMES}
            await LIMITS.set.execute(tx, tenant=tenant, **(before | dict(changes)))

    async def rates(self) -> dict[str, int | None]:
        """Requests a second of the tenants that have a limit of their own; None is none."""
        async with self._pool.connection() as connection:
            rows = await LIMITS.rates.fetch(connection)
        return {row[0]: meant(row[1]) for row in rows}

    async def use(self, tenant: str) -> Use:
        async with self._pool.connection() as connection:
            scanned = await LIMITS.scanned.fetchrow(connection, tenant=tenant)
            uploaded = await LIMITS.uploaded.fetchrow(connection, tenant=tenant)
            assert scanned is not None
            assert uploaded is not None
            return Use(
                queued_jobs=await LIMITS.queued.fetchval(connection, tenant=tenant, most=UNLIMITED),
                running_jobs=await LIMITS.admitted.fetchval(connection, tenant=tenant, most=UNLIMITED),
                scan_bytes_per_day=scanned["bytes"],
                stored_bytes=await measured(connection, tenant),
                uploads=uploaded["uploads"],
                upload_bytes=uploaded["bytes"],
            )

    async def let_in(self) -> None:
        """Let jobs run that wait, as far as their tenants may have more, and have others wait."""
        async with self._pool.connection() as connection:
            crowded = await LIMITS.crowded.fetch(
                connection, running=self._defaults.running_jobs, unlimited=UNLIMITED
            )
        for tenant, most in crowded:
            async with self._pool.transaction() as tx:
                await hold(tx, tenant)
                await LIMITS.let_in.execute(tx, tenant=tenant, most=most)
                await LIMITS.hold_back.execute(tx, tenant=tenant, most=most)

    async def writing(self) -> list[Writing]:
        """The jobs under way whose tenants have a limit of stored bytes, the youngest first."""
        async with self._pool.connection() as connection:
            rows = await LIMITS.writing.fetch(
                connection, stored=self._defaults.stored_bytes, unlimited=UNLIMITED
            )
        return [Writing(row["id"], row["tenant"], row["most"]) for row in rows]

    async def stored(self, tenant: str) -> int | None:
        """The bytes that a tenant stores; None if they cannot be measured now."""
        async with self._pool.connection() as connection:
            with suppress(asyncpg.LockNotAvailableError):
                return await measured(connection, tenant)
        return None

    async def room(self, tenant: str) -> tuple[int, int]:
        """How many more bytes the tenant may upload, with one more upload, and how many in all."""
        async with self._pool.connection() as connection:
            limits = await of_tenant(connection, tenant, self._defaults)
            if limits.uploads is None and limits.upload_bytes is None:
                return UNLIMITED, UNLIMITED
            left = await check_uploads(connection, tenant, limits, more=1)
        return left, UNLIMITED if limits.upload_bytes is None else limits.upload_bytes
