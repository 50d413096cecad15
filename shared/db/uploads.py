"""The uploads table: which files were uploaded whole."""

from shared.core.entities import Upload
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import UPLOADS


class UploadStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ping(self) -> None:
        """Raise DatabaseUnavailable now rather than after gigabytes were received."""
        async with self._pool.connection() as connection:
            await UPLOADS.ping.execute(connection)

    async def insert(
        self, tenant: str, upload_id: str, *, filename: str | None, size: int, sha256: str
    ) -> Upload:
        async with self._pool.connection() as connection:
            row = await UPLOADS.insert.fetchrow(
                connection, id=upload_id, tenant=tenant, filename=filename, bytes=size, sha256=sha256
            )
        assert row is not None
        return read_row(Upload, row)

    async def get(self, tenant: str, upload_id: str) -> Upload | None:
        async with self._pool.connection() as connection:
            row = await UPLOADS.get.fetchrow(connection, tenant=tenant, id=upload_id)
        return read_row(Upload, row) if row else None

    async def use(self, tenant: str, upload_ids: list[str]) -> set[str]:
        """Those of the ids that the tenant has.

        They count as used now, so that none is pruned before the job that names them is stored.
        """
        async with self._pool.connection() as connection:
            rows = await UPLOADS.use.fetch(connection, tenant=tenant, ids=upload_ids)
        return {row["id"] for row in rows}

    async def delete(self, tenant: str, upload_id: str) -> bool:
        async with self._pool.connection() as connection:
            return await UPLOADS.delete.fetchval(connection, tenant=tenant, id=upload_id) is not None
