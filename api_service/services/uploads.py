"""Uploads: first the file, then its row. A file without a row counts as never uploaded."""

import contextlib
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from itertools import islice
from typing import Any

from shared.core.entities import UnfinishedUpload, Upload
from shared.db.limits import LimitStore, too_many_bytes
from shared.db.uploads import AnyUpload, UploadStore
from shared.errors import NotFound
from shared.ids import new_id
from shared.spec.uris import UPLOAD
from shared.storage.uploads import UploadFiles

_URI = re.compile(f"{UPLOAD}(upl_[0-9a-z]{{26}})")
MOST_NAMED = 200


class UploadService:
    def __init__(self, uploads: UploadStore, files: UploadFiles, limits: LimitStore) -> None:
        self._uploads = uploads
        self._files = files
        self._limits = limits
        self._arriving: Counter[str] = Counter()
        """The bytes of the uploads under way, by tenant."""

    async def put(
        self,
        tenant: str,
        blocks: AsyncIterator[bytes],
        *,
        filename: str | None,
        sha256: str | None,
        size: int = 0,
    ) -> Upload:
        """Store the blocks; raises if they break off, or if they do not hash to *sha256* (in hex).

        Then nothing of them is left. Raises TooManyUploads and UploadLimitExceeded for a tenant that would
        have too much: before the first block, if their *size* is known.
        """
        upload_id = new_id("upl")
        async with contextlib.aclosing(self._within_limits(tenant, blocks, size)) as bounded:
            stored = await self._files.put(tenant, upload_id, bounded, sha256=sha256)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._files.delete, tenant, upload_id)
            upload = await self._uploads.insert(
                tenant, upload_id, filename=filename, size=stored.bytes, sha256=stored.sha256
            )
            undo.pop_all()
        return upload

    async def _within_limits(
        self, tenant: str, blocks: AsyncIterator[bytes], size: int
    ) -> AsyncGenerator[bytes]:
        """The blocks, as long as all uploads that arrive for the tenant here have room."""
        left, most = await self._limits.room(tenant)
        if size > left:
            raise too_many_bytes(most)
        received = 0
        try:
            async for block in blocks:
                received += len(block)
                self._arriving[tenant] += len(block)
                if self._arriving[tenant] > left:
                    raise too_many_bytes(most)
                yield block
        finally:
            self._arriving -= Counter({tenant: received})  # which drops the tenants at zero

    async def get(self, tenant: str, upload_id: str) -> AnyUpload:
        """Finished or not, but not one that has expired."""
        upload = await self._uploads.find(tenant, upload_id)
        if upload is None or (isinstance(upload, UnfinishedUpload) and upload.expired):
            raise NotFound(f"There is no upload {upload_id}")
        return upload

    async def newest(self, tenant: str, *, after: str | None, limit: int) -> tuple[list[AnyUpload], bool]:
        """Newest first, finished or not; the flag says whether others follow."""
        return await self._uploads.newest(tenant, after=after, limit=limit)

    async def filenames(self, tenant: str, uris: Iterable[Any]) -> dict[str, str]:
        """The names of uploaded files by their URIs, of the first MOST_NAMED of *uris* that name uploads."""
        ids = (found[1] for uri in uris if isinstance(uri, str) and (found := _URI.fullmatch(uri)))
        if not (named := list(islice(ids, MOST_NAMED))):
            return {}
        names = await self._uploads.filenames(tenant, named)
        return {f"{UPLOAD}{upload_id}": filename for upload_id, filename in names.items()}

    async def delete(self, tenant: str, upload_id: str) -> None:
        if not await self._uploads.delete(tenant, upload_id):
            raise NotFound(f"There is no upload {upload_id}")
        await self._files.delete(tenant, upload_id)
