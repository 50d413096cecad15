"""The table of unfinished uploads: how many bytes of each are on disk."""

from datetime import timedelta

from shared.core.entities import UnfinishedUpload, Upload
from shared.core.limits import Limits
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import UNFINISHED_UPLOADS
from shared.db.uploads import check_stored_uploads


class UnfinishedUploadStore:
    """*kept*: how long an upload is kept after its last bytes arrived.

    *defaults* are the limits of a tenant that has none of its own.
    """

    def __init__(self, pool: Pool, kept: timedelta, defaults: Limits | None = None) -> None:
        self._pool, self._kept, self._defaults = pool, kept, defaults or Limits()

    async def insert(
        self, tenant: str, upload_id: str, *, filename: str | None, metadata: str | None, size: int, most: int
    ) -> UnfinishedUpload | None:
        """None if the tenant has *most* already. Raises TooManyUploads and UploadLimitExceeded."""
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
            if row is not None:
                await check_stored_uploads(tx, tenant, self._defaults)
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
