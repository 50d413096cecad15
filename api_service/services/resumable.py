"""Resumable uploads: bytes are added at the end, and a broken request keeps those that have arrived.

Each request syncs its bytes before it notes their number, about once a CHECKPOINT, so that a number never
lies. Only one request writes to an upload. The next one of this gateway makes it give way: the client may
have lost the old connection without a word.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from shared.core.entities import Checksum, UnfinishedUpload, Upload
from shared.db.unfinished_uploads import UnfinishedUploadStore
from shared.db.uploads import AnyUpload, UploadStore
from shared.errors import (
    ChecksumMismatch,
    GristmillError,
    NotFound,
    StorageUnavailable,
    TooManyUploads,
    UploadExpired,
    UploadLocked,
    WrongOffset,
)
from shared.ids import new_id
from shared.storage.unfinished import GrowingFile, Prefixes, create
from shared.storage.uploads import BLOCK_BYTES, UploadFiles

CHECKPOINT_BYTES, CHECKPOINT_SECONDS = 16 * 1024**2, 5.0
"""A crash of the gateway costs an upload at most so many bytes, or those of so many seconds."""
GIVE_WAY_SECONDS = 5.0
Body = Callable[[int], AsyncIterator[bytes]]
"""The blocks of a request's body, which raises PayloadTooLarge beyond a number of bytes."""


@dataclass(slots=True)
class _Writer:
    """A request that writes. `reading` is its wait for bytes."""

    reading: asyncio.Timeout | None = None
    unwanted: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def give_way(self) -> None:
        self.unwanted = True
        if self.reading is not None:
            self.reading.reschedule(asyncio.get_running_loop().time())


class ResumableUploads:
    """A tenant may have *most* unfinished ones."""

    def __init__(
        self, unfinished: UnfinishedUploadStore, uploads: UploadStore, files: UploadFiles, most: int
    ) -> None:
        self._unfinished, self._uploads, self._files, self._most = unfinished, uploads, files, most
        self._prefixes = Prefixes()
        self._writers: dict[str, _Writer] = {}

    async def create(
        self, tenant: str, *, size: int, filename: str | None, metadata: str | None
    ) -> UnfinishedUpload:
        upload_id = new_id("upl")
        await asyncio.to_thread(create, self._files, tenant, upload_id)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._files.delete, tenant, upload_id)
            upload = await self._unfinished.insert(
                tenant, upload_id, filename=filename, metadata=metadata, size=size, most=self._most
            )
            if upload is None:
                raise TooManyUploads(
                    f"There are {self._most} unfinished uploads, the most that a tenant may have; finish or "
                    "delete some, which GET /v1/uploads lists (GRISTMILL_MAX_UNFINISHED_UPLOADS)"
                )
            undo.pop_all()
        return upload

    async def state(self, tenant: str, upload_id: str) -> AnyUpload:
        """An upload as it stands.

        One whose bytes are all here is finished first, if a crash has kept its writer from that.
        """
        upload = await self._find(tenant, upload_id)
        if isinstance(upload, UnfinishedUpload) and upload.received == upload.bytes:
            upload = await self.append(tenant, upload_id, upload.received, _nothing, None)
        return upload

    async def append(
        self, tenant: str, upload_id: str, offset: int, body: Body, checksum: Checksum | None
    ) -> AnyUpload:
        """Add the body at *offset*, where the stored bytes end; the last byte makes it an ordinary upload.

        A body that ends early, for whatever reason, leaves the bytes that came before; with a *checksum*
        it leaves none. Raises WrongOffset, UploadLocked, ChecksumMismatch and those of the body.
        """
        await self._find(tenant, upload_id)  # before another writer is disturbed
        async with self._turn(upload_id) as writer, self._opened(tenant, upload_id) as file:
            upload = await self._find(tenant, upload_id)
            received = upload.received if isinstance(upload, UnfinishedUpload) else upload.bytes
            if offset != received:
                raise WrongOffset(
                    f"Upload-Offset is {offset}, but {received} bytes of {upload_id} are stored; "
                    f"go on from byte {received}"
                )
            blocks = body(upload.bytes - received)
            if isinstance(upload, Upload):
                async for _ in blocks:
                    pass
                return upload
            known, digest = self._prefixes.longest(upload_id)
            await asyncio.to_thread(file.begin, offset, digest if known == offset else None, checksum)
            upload = await self._write(writer, file, upload, blocks, checksum)
            return upload if upload.received < upload.bytes else await self._finish(file, upload)

    async def _find(self, tenant: str, upload_id: str) -> AnyUpload:
        upload = await self._uploads.find(tenant, upload_id)
        if upload is None:
            raise NotFound(f"There is no upload {upload_id}")
        if isinstance(upload, UnfinishedUpload) and upload.expired:
            raise UploadExpired(
                f"Upload {upload_id} got no bytes until {upload.expires_at:%Y-%m-%d %H:%M:%S} UTC, and has "
                "expired; begin again with a new one"
            )
        return upload

    @contextlib.asynccontextmanager
    async def _turn(self, upload_id: str) -> AsyncIterator[_Writer]:
        """This request is the only writer of this gateway."""
        try:
            async with asyncio.timeout(GIVE_WAY_SECONDS):
                while (other := self._writers.get(upload_id)) is not None:
                    other.give_way()
                    await other.ended.wait()
        except TimeoutError as error:
            raise UploadLocked(f"Another request still stores bytes of {upload_id}; try again") from error
        self._writers[upload_id] = writer = _Writer()
        try:
            yield writer
        finally:
            del self._writers[upload_id]
            writer.ended.set()

    @contextlib.asynccontextmanager
    async def _opened(self, tenant: str, upload_id: str) -> AsyncIterator[GrowingFile]:
        """The file, under its lock: until it is closed no other request changes the row."""
        try:
            file = await asyncio.to_thread(GrowingFile, self._files.path(tenant, upload_id))
        except StorageUnavailable as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            raise StorageUnavailable(
                f"The storage folder has no file {upload_id}; is the folder mounted, and the same for all "
                "gateways? Or delete the upload and begin again"
            ) from error
        try:
            yield file
        finally:
            await asyncio.to_thread(file.close)

    async def _write(
        self,
        writer: _Writer,
        file: GrowingFile,
        upload: UnfinishedUpload,
        blocks: AsyncIterator[bytes],
        checksum: Checksum | None,
    ) -> UnfinishedUpload:
        """The upload with the bytes of the body; without a checksum also when the body breaks off."""
        now = asyncio.get_running_loop().time
        waiting, more = bytearray(), True
        due, kept = now() + CHECKPOINT_SECONDS, file.end
        try:
            while more:
                more = await _receive(writer, blocks, waiting, due)
                await _flush(file, waiting)
                if more and now() < due and file.end - kept < CHECKPOINT_BYTES:
                    continue
                due, kept = now() + CHECKPOINT_SECONDS, file.end
                if checksum is None:
                    upload = await self._advance(file, upload)
        except BaseException:
            if checksum is None:
                with contextlib.suppress(GristmillError):  # the cause matters more
                    await _flush(file, waiting)
                    await self._advance(file, upload)
            raise
        if checksum is None:
            return upload
        if not await asyncio.to_thread(file.matches, checksum):
            raise ChecksumMismatch(
                f"Upload-Checksum promised {checksum.algorithm} {checksum.digest.hex()}, which the "
                f"{file.end - upload.received} bytes received do not have; none of them were kept"
            )
        return await self._advance(file, upload)

    async def _advance(self, file: GrowingFile, upload: UnfinishedUpload) -> UnfinishedUpload:
        received, digest = await asyncio.to_thread(file.sync)
        if received == upload.received:
            return upload
        advanced = await self._unfinished.advance(upload, received)
        if advanced is None:
            raise NotFound(f"Upload {upload.id} was deleted while bytes of it arrived")
        if digest is not None:
            self._prefixes.keep(upload.id, received, digest)
        return advanced

    async def _finish(self, file: GrowingFile, upload: UnfinishedUpload) -> Upload:
        offset, digest = self._prefixes.longest(upload.id)
        while length := await asyncio.to_thread(file.hash_more, offset, digest):
            offset += length
        finished = await self._unfinished.finish(upload, digest.hexdigest())
        if finished is None:
            raise NotFound(f"Upload {upload.id} was deleted while bytes of it arrived")
        self._prefixes.forget(upload.id)
        return finished


async def _receive(writer: _Writer, blocks: AsyncIterator[bytes], waiting: bytearray, due: float) -> bool:
    """Add about a block of the body to *waiting*, or those bytes that come until *due*; False at its end."""
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(0 if writer.unwanted else None) as writer.reading:
            while len(waiting) < BLOCK_BYTES and now() < due:
                block = await anext(blocks, None)
                if block is None:
                    return False
                waiting += block
    except TimeoutError as error:
        raise UploadLocked("Another request goes on with this upload") from error
    finally:
        writer.reading = None
    return True


async def _flush(file: GrowingFile, waiting: bytearray) -> None:
    """Write the bytes that wait. They wait no more even if that fails, for a part may be written."""
    block = bytes(waiting)
    waiting.clear()
    await asyncio.to_thread(file.write, block)


async def _nothing(_: int) -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for block in none:
        yield block
