"""Files that grow: unfinished uploads, which lie where they will lie when they are whole.

Theory of operation. The row says how many first bytes count. It says so only after these were synced, so a
crash can leave more bytes in the file than it counts, and never fewer. The next writer cuts the surplus off.
A writer holds the lock that the kernel keeps for the file (flock). The lock ends with its process, so another
gateway can go on at once after a crash. Between machines the file system has to support it, as NFS 4 does.
"""

import errno
import fcntl
import hashlib
import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from shared.core.entities import Checksum
from shared.errors import StorageUnavailable, UploadLocked
from shared.storage.uploads import UploadFiles, sync_folder, translated

READ_BYTES = 8 * 1024**2
MAX_PREFIXES = 1000
_BUSY = {errno.EAGAIN, errno.EACCES}


def create(files: UploadFiles, tenant: str, upload_id: str) -> None:
    """Make an empty file durably; blocks."""
    path = files.path(tenant, upload_id)
    with translated():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            os.fsync(file.fileno())
        sync_folder(path.parent)


class GrowingFile:
    """A file under its lock; every method blocks, and may be called from any thread.

    Raises UploadLocked while another writer has it.
    """

    def __init__(self, path: Path) -> None:
        self._mutex = threading.Lock()
        with translated():
            self._file = path.open("r+b", buffering=0)
        try:
            with translated():
                self._lock()
        except BaseException:
            self._file.close()
            raise
        self.end = 0
        self.hash: Any = None
        """The SHA-256 of all bytes up to `end`, unless it has to be computed from the file."""
        self.received: Any = None
        """The digest of the bytes since `begin`, if it was asked for."""

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                raise UploadLocked(
                    "Another request writes to this upload; ask for its offset (HEAD) and go on from there"
                ) from error
            raise

    def begin(self, offset: int, prefix: Any, checksum: Checksum | None) -> None:
        """Write from *offset* on; *prefix* is the SHA-256 of the bytes before, if it is known.

        Raises StorageUnavailable if the file has fewer bytes.
        """
        with self._mutex, translated():
            size = os.fstat(self._file.fileno()).st_size
            if size < offset:
                raise StorageUnavailable(
                    f"The file has {size} bytes, and {offset} were stored; the storage folder has lost some. "
                    "Delete the upload and begin again"
                )
            if size > offset:
                os.ftruncate(self._file.fileno(), offset)
            self._file.seek(offset)
            self.end, self.hash = offset, prefix
            self.received = checksum and hashlib.new(checksum.algorithm, usedforsecurity=False)

    def write(self, block: bytes) -> None:
        with self._mutex, translated():
            rest = memoryview(block)
            while rest:
                written = self._file.write(rest)
                self._count(rest[:written])
                rest = rest[written:]

    def _count(self, written: memoryview) -> None:
        self.end += len(written)
        for digest in (self.hash, self.received):
            if digest is not None:
                digest.update(written)

    def sync(self) -> tuple[int, Any]:
        """The number of bytes that no crash can take away, and a copy of their `hash`."""
        with self._mutex, translated():
            os.fdatasync(self._file.fileno())
            return self.end, self.hash and self.hash.copy()

    def matches(self, checksum: Checksum) -> bool:
        with self._mutex:
            return bool(self.received.digest() == checksum.digest)

    def hash_more(self, offset: int, digest: Any) -> int:
        """Add a part of the file that begins at *offset* to *digest*; returns its length."""
        with self._mutex, translated():
            part = os.pread(self._file.fileno(), READ_BYTES, offset)
        digest.update(part)
        return len(part)

    def close(self) -> None:
        with self._mutex:
            self._file.close()


class Prefixes:
    """The SHA-256 of the first bytes of uploads under way: so their end need not read them again.

    Those of the uploads that were used last. One that is not here costs time only.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def keep(self, upload_id: str, offset: int, digest: Any) -> None:
        self._known[upload_id] = offset, digest
        self._known.move_to_end(upload_id)
        if len(self._known) > MAX_PREFIXES:
            self._known.popitem(last=False)

    def longest(self, upload_id: str) -> tuple[int, Any]:
        """A length, and a digest of so many first bytes, which the caller may go on with."""
        offset, digest = self._known.get(upload_id, (0, hashlib.sha256()))
        return offset, digest.copy()

    def forget(self, upload_id: str) -> None:
        self._known.pop(upload_id, None)
