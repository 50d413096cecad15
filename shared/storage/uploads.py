"""Uploaded files, `<storage>/uploads/<tenant>/<upload id>`: written under a hidden name, then renamed."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from shared.errors import DigestMismatch, StorageUnavailable

BLOCK_BYTES = 1024**2
_ABANDONED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stored:
    """The size of a stored file, and its SHA-256 in hex."""

    bytes: int
    sha256: str


class UploadFiles:
    def __init__(self, storage: Path) -> None:
        self.root = storage / "uploads"

    def path(self, tenant: str, upload_id: str) -> Path:
        return self.root / tenant / upload_id

    async def put(
        self, tenant: str, upload_id: str, blocks: AsyncIterator[bytes], *, sha256: str | None = None
    ) -> Stored:
        """Write the blocks durably; raises DigestMismatch if they do not hash to *sha256*.

        Any error, also one of *blocks*, leaves no file.
        """
        part = await asyncio.to_thread(_Part, self.path(tenant, upload_id))
        try:
            async for block in _of_size(blocks, BLOCK_BYTES):
                await asyncio.to_thread(part.write, block)
            stored = part.stored()
            _check(stored, sha256)
            await asyncio.to_thread(part.commit)
        except BaseException:
            await asyncio.to_thread(part.discard)
            raise
        return stored

    async def delete(self, tenant: str, upload_id: str) -> None:
        with translated():
            await asyncio.to_thread(self.path(tenant, upload_id).unlink, missing_ok=True)

    def older_than(self, age: timedelta) -> list[tuple[str, str]]:
        """Tenant and id of the files that were not written to for *age*."""
        return [(path.parent.name, path.name) for path in self._older("*/upl_*", age)]

    def remove_abandoned(self) -> None:
        """Remove unfinished files of killed gateways: without a write for an hour a file has no writer."""
        with translated():
            for part in self._older("*/.upl_*.part", _ABANDONED):
                part.unlink(missing_ok=True)

    def _older(self, pattern: str, age: timedelta) -> list[Path]:
        found, before = [], time.time() - age.total_seconds()
        with translated():
            for path in self.root.glob(pattern):
                with suppress(FileNotFoundError):  # renamed or deleted since
                    if path.stat().st_mtime < before:
                        found.append(path)
        return found


async def _of_size(blocks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Join small blocks, because each write costs a hop to a thread."""
    waiting = bytearray()
    async for block in blocks:
        waiting += block
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _check(stored: Stored, promised: str | None) -> None:
    if promised not in {None, stored.sha256}:
        raise DigestMismatch(
            f"Content-Digest promised sha-256 {promised}, "
            f"but the {stored.bytes} bytes received have {stored.sha256}"
        )


@contextmanager
def translated() -> Iterator[None]:
    """Raise StorageUnavailable for an OSError."""
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(
            f"The storage folder cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error


def sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Part:
    """A file being written; every method blocks, so each runs in a thread."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.part")
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        with translated():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")

    def write(self, block: bytes) -> None:
        with translated():
            self._file.write(block)
        self._sha256.update(block)
        self._bytes += len(block)

    def stored(self) -> Stored:
        return Stored(self._bytes, self._sha256.hexdigest())

    def commit(self) -> None:
        """Sync the bytes, rename, sync the folder: in this order a crash never shows half a file."""
        with translated():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._target)
            sync_folder(self._target.parent)

    def discard(self) -> None:
        with translated():
            try:
                self._file.close()
            finally:
                self._path.unlink(missing_ok=True)
                self._target.unlink(missing_ok=True)
