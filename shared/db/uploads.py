"""The uploads table: which files were uploaded whole. Readers see the unfinished ones beside them."""

from shared.core.entities import UnfinishedUpload, Upload
from shared.core.limits import Limits
from shared.db.limits import check_uploads, hold, of_tenant
from shared.db.pool import Connection, Pool, Record
from shared.db.records import read_row
from shared.db.statements import UNFINISHED_UPLOADS, UPLOADS

AnyUpload = Upload | UnfinishedUpload


class UploadStore:
    """*defaults* are the limits of a tenant that has none of its own."""

    def __init__(self, pool: Pool, defaults: Limits | None = None) -> None:
        self._pool, self._defaults = pool, defaults or Limits()

    async def insert(
        self, tenant: str, upload_id: str, *, filename: str | None, size: int, sha256: str
    ) -> Upload:
        """Raises TooManyUploads and UploadLimitExceeded for a tenant that would exceed its limits."""
        async with self._pool.transaction() as tx:
            row = await UPLOADS.insert.fetchrow(
                tx, id=upload_id, tenant=tenant, filename=filename, bytes=size, sha256=sha256
            )
            await check_stored_uploads(tx, tenant, self._defaults)
        assert row is not None
        return read_row(Upload, row)

    async def find(self, tenant: str, upload_id: str) -> AnyUpload | None:
        async with self._pool.connection() as connection:
            row = await UPLOADS.find.fetchrow(connection, tenant=tenant, id=upload_id)
        return _read(row) if row else None

    async def newest(self, tenant: str, *, after: str | None, limit: int) -> tuple[list[AnyUpload], bool]:
        """Newest first, none that has expired; the flag says whether others follow."""
        async with self._pool.connection() as connection:
            rows = await UPLOADS.newest.fetch(connection, tenant=tenant, after=after, most=limit + 1)
        return [_read(row) for row in rows[:limit]], len(rows) > limit

    async def use(self, tenant: str, upload_ids: list[str]) -> set[str]:
        """Those of the ids that the tenant has.

        They count as used now, so that none is pruned before the job that names them is stored.
        """
        async with self._pool.connection() as connection:
            rows = await UPLOADS.use.fetch(connection, tenant=tenant, ids=upload_ids)
        return {row["id"] for row in rows}

    async def lacking(self, tenant: str, upload_ids: list[str]) -> dict[str, tuple[int, int]]:
        """Those of the ids that are unfinished: how many bytes are stored, of how many."""
        async with self._pool.connection() as connection:
            rows = await UPLOADS.lacking.fetch(connection, tenant=tenant, ids=upload_ids)
        return {row["id"]: (row["received"], row["bytes"]) for row in rows}

    async def filenames(self, tenant: str, upload_ids: list[str]) -> dict[str, str]:
        """The names of those that the tenant has, and that came with one, by their ids."""
        async with self._pool.connection() as connection:
            rows = await UPLOADS.filenames.fetch(connection, tenant=tenant, ids=upload_ids)
        return {row["id"]: row["filename"] for row in rows}

    async def delete(self, tenant: str, upload_id: str) -> bool:
        """The unfinished one first: if its last byte has just come, the second statement sees the upload."""
        async with self._pool.connection() as connection:
            return (
                await UNFINISHED_UPLOADS.delete.fetchval(connection, tenant=tenant, id=upload_id) is not None
                or await UPLOADS.delete.fetchval(connection, tenant=tenant, id=upload_id) is not None
            )


def _read(row: Record) -> AnyUpload:
    return read_row(Upload, row) if row["received"] is None else read_row(UnfinishedUpload, row)


async def check_stored_uploads(tx: Connection, tenant: str, defaults: Limits) -> None:
    """Raise TooManyUploads or UploadLimitExceeded if a tenant has too much, with an upload of *tx*."""
    limits = await of_tenant(tx, tenant, defaults)
    if limits.uploads is not None or limits.upload_bytes is not None:
        await hold(tx, tenant)
        await check_uploads(tx, tenant, limits)
