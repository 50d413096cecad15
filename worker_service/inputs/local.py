"""Opening files and folders beneath an allowed root, one step at a time.

Never through a symbolic link, and never into the service's own folders.
"""

import errno
import os
import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from shared.errors import (
    GristmillError,
    SourceNotAllowed,
    SourceNotFound,
    SourceUnreadable,
    StorageUnavailable,
)
from shared.storage.sources import Location, refuse_hidden

Identity = tuple[int, int]
"""Device and inode: the same for all names of a folder."""

FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW
FILE = os.O_NOFOLLOW | os.O_NONBLOCK  # opening a named pipe must not wait for a writer
_TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}
"""Errors that say nothing about the file: no descriptors or memory are left, or the disk does not answer."""


class LocalFiles:
    """The local files and folders of one task.

    Roots stay open until its end, and the folder of the last file until a file in another one is opened. Each
    other folder is closed as soon as the next step is taken.
    """

    def __init__(self, own_folders: Sequence[str], *, hidden: bool) -> None:
        self.hidden = hidden
        self._own = {identity for path in own_folders for identity in _identities(path)}
        self._roots: dict[tuple[str, bool], int] = {}
        self._last: tuple[tuple[object, ...], int] | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._open.close()

    def file(self, at: Location) -> int:
        """A read-only descriptor of a regular file.

        Raises SourceNotFound, SourceNotAllowed, SourceUnreadable for anything that is not a readable regular
        file, or StorageUnavailable if that cannot be told now.
        """
        if not self.hidden:
            refuse_hidden(at)
        *folders, name = at.steps
        descriptor = open_file(at.uri, name, FILE, self._folder_of(at, folders))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SourceUnreadable(f"{at.uri} is not a regular file")
        return descriptor

    def _folder_of(self, at: Location, steps: Sequence[str]) -> int:
        """See `folder`. It stays open for the next file: neighbours follow one another."""
        key = at.root, at.is_upload, *steps
        if self._last is None or self._last[0] != key:
            self._leave()
            self._last = key, self.folder(at, steps)
        return self._last[1]

    def _leave(self) -> None:
        if self._last is not None:
            os.close(self._last[1])
        self._last = None

    def folder(self, at: Location, steps: Sequence[str]) -> int:
        """A descriptor of the folder that *steps* lead to from the location's root."""
        folder = open_file(at.uri, ".", FOLDER, self._root(at))
        try:
            for step in steps:
                inner = open_file(at.uri, step, FOLDER, folder)
                os.close(folder)
                folder = inner
                self._refuse_own(at, folder)
        except BaseException:
            os.close(folder)
            raise
        return folder

    def is_own(self, status: os.stat_result) -> bool:
        return identity(status) in self._own

    def _refuse_own(self, at: Location, folder: int) -> None:
        if self.is_own(os.fstat(folder)) and not at.is_upload:
            cause = "leads into a folder of the service itself (uploads, data or logs), which is no source"
            raise SourceNotAllowed(f"{at.uri!r} {cause}")

    def _root(self, at: Location) -> int:
        """The administrator names the root, so links to it are followed.

        It may not lie in a folder of the service.
        """
        key = at.root, at.is_upload
        if key not in self._roots:
            root = open_file(at.uri, at.root, os.O_DIRECTORY, None)
            self._open.callback(os.close, root)
            self._refuse_own_around(at, root)
            self._roots[key] = root
        return self._roots[key]

    def _refuse_own_around(self, at: Location, root: int) -> None:
        """Refuse the root and each folder above it. The topmost folder is the one above itself."""
        with ExitStack() as climbed:
            folder, inside = root, None
            while (here := identity(os.fstat(folder))) != inside:
                self._refuse_own(at, folder)
                inside = here
                folder = open_file(at.uri, "..", os.O_DIRECTORY | os.O_PATH, folder)
                climbed.callback(os.close, folder)


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _identities(path: str) -> Iterator[Identity]:
    """Of a folder, and of the folders in it, which may be links, or mounted in other places too."""
    try:
        yield identity(os.stat(path))  # noqa: PTH116  # only its status
        with suppress(PermissionError), os.scandir(path) as entries:
            yield from [identity(entry.stat()) for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageUnavailable(
            f"A folder of the service itself cannot be looked at: {_reason(error)}"
        ) from error


def open_file(uri: str, name: str, flags: int, folder: int | None) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        raise translated(uri, error, is_link=_is_link(error, name, folder)) from error


def translated(uri: str, error: OSError, tried: str = "opened", *, is_link: bool = False) -> GristmillError:
    """The error as one of this project, for the file or folder that *uri* names."""
    if isinstance(error, FileNotFoundError):
        return SourceNotFound(f"{uri} does not exist")
    if error.errno in _TRANSIENT:
        return StorageUnavailable(f"{uri} cannot be {tried} now: {_reason(error)}")
    return SourceUnreadable(
        f"{uri} cannot be {tried}: {'goes through a symbolic link' if is_link else _reason(error)}"
    )


def _reason(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"{reason}; this process may have {limit:,}, so raise the worker's `ulimit -n`"
    return reason


def _is_link(error: OSError, name: str, folder: int | None) -> bool:
    if error.errno == errno.ENOTDIR:
        with suppress(OSError):
            return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return error.errno == errno.ELOOP
