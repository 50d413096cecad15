"""The table of unfinished uploads: how many bytes of each are on disk."""

from datetime import timedelta

from shared.core.entities import UnfinishedUpload, Upload
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import UNFINISHED_UPLOADS


class UnfinishedUploadStore:
    """*kept*: how long an upload is kept after its last bytes arrived."""

    def __init__(self, pool: Pool, kept: timedelta) -> None:
        self._pool, self._kept = pool, kept

    async def insert(
        self, tenant: str, upload_id: str, *, filename: str | None, metadata: str | None, size: int, most: int
    ) -> UnfinishedUpload | None:
        """None if the tenant has *most* already."""
        async with self._pool.transaction() as tx:
            await UNFINISHED_UPLOADS.lock.execute(tx)
            row = await UNFINISHED_UPLOADS.insert.fetchrow(
                tx,
                id=upload_id,
                tenant=tenant,
                filename=filename,
                metadata=metadata,
                bytes=size,
                kept=self._kept,
                most=most,
            )
        return read_row(UnfinishedUpload, row) if row else None

    async def advance(self, upload: UnfinishedUpload, received: int) -> UnfinishedUpload | None:
        """None if the row is not as *upload* says any more."""
        async with self._pool.connection() as connection:
            row = await UNFINISHED_UPLOADS.advance.fetchrow(
                connection,
                tenant=upload.tenant,
                id=upload.id,
                before=upload.received,
                after=received,
                kept=self._kept,
            )
        return read_row(UnfinishedUpload, row) if row else None

    async def finish(self, upload: UnfinishedUpload, sha256: str) -> Upload | None:
        """None if the row is gone, or lacks bytes."""
        async with self._pool.connection() as connection:
            row = await UNFINISHED_UPLOADS.finish.fetchrow(
                connection, tenant=upload.tenant, id=upload.id, sha256=sha256
            )
        return read_row(Upload, row) if row else None
