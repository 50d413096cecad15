"""Uploaded files at `<storage>/uploads/<tenant>/<upload id>`.

A file is written under a hidden name, then renamed whole.
"""

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
    """The size of a written file, and its SHA-256 in hex."""

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

        An error, also one of *blocks*, leaves no file.
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
        with _translated():
            await asyncio.to_thread(self.path(tenant, upload_id).unlink, missing_ok=True)

    def older_than(self, age: timedelta) -> list[tuple[str, str]]:
        """The tenant and id of each file that was not written to for *age*."""
        return [(path.parent.name, path.name) for path in self._older("*/upl_*", age)]

    def remove_abandoned(self) -> None:
        """Remove the parts that a killed gateway left: those that were not written to for an hour."""
        with _translated():
            for part in self._older("*/.upl_*.part", _ABANDONED):
                part.unlink(missing_ok=True)

    def _older(self, pattern: str, age: timedelta) -> list[Path]:
        found, before = [], time.time() - age.total_seconds()
        with _translated():
            for path in self.root.glob(pattern):
                with suppress(FileNotFoundError):  # it was renamed or deleted since
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
            f"Content-Digest promised sha-256 {promised},"
            f" but the {stored.bytes} bytes received have {stored.sha256}"
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(
            f"The storage folder cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error


class _Part:
    """A file being written; every method blocks, so each runs in a thread."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".{target.name}.part")
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        with _translated():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")

    def write(self, block: bytes) -> None:
        with _translated():
            self._file.write(block)
        self._sha256.update(block)
        self._bytes += len(block)

    def stored(self) -> Stored:
        return Stored(self._bytes, self._sha256.hexdigest())

    def commit(self) -> None:
        """Sync the bytes, rename, then sync the folder: after a crash no half file has the name."""
        with _translated():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._target)
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        with _translated():
            try:
                self._file.close()
            finally:
                self._path.unlink(missing_ok=True)
                self._target.unlink(missing_ok=True)
