"""Which URIs a job may name, and opening the files behind them without leaving the allowed folders."""

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from shared.errors import LimitExceeded, SourceNotAllowed, SourceNotFound, SourceUnreadable

MAX_FILES = 10_000
_MAGIC = frozenset("*?[")
_UPLOAD = re.compile(r"upl_[0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Location:
    """A file as an allowed root and the path below it, which is how it has to be opened."""

    uri: str
    root: str
    below: str


def _path_of(uri: str) -> PurePosixPath:
    return PurePosixPath(unquote(uri.removeprefix("file://")))


def _root_of(uri: str, allowed: list[str], tenant: str) -> PurePosixPath | None:
    path = _path_of(uri)
    for prefix in allowed:
        root = _path_of(prefix.replace("{tenant}", tenant))
        if prefix.startswith("file:///") and ".." not in path.parts and path.is_relative_to(root) and path != root:
            return root
    return None


def check_uri(uri: str, pointer: str, allowed: list[str], tenant: str) -> None:
    """Raise SourceNotAllowed for a URI outside GRISTMILL_SOURCES; uploads are always allowed."""
    if uri.startswith("upload:"):
        return
    if _root_of(uri, allowed, tenant) is None:
        where = ", ".join(allowed) or "nothing: set GRISTMILL_SOURCES, or upload the file"
        raise SourceNotAllowed(f"{uri!r} does not lie under an allowed source ({where})", pointer=pointer)


def locate(uri: str, allowed: list[str], tenant: str, uploads: Path) -> list[Location]:
    """The files that a URI means, sorted by path; globs never match hidden files. Raises SourceNotFound when there is none."""
    if uri.startswith("upload:"):
        name = uri.removeprefix("upload:")
        found = [Location(uri, str(uploads / tenant), name)] if _UPLOAD.fullmatch(name) else []
    else:
        check_uri(uri, "#/source/uris", allowed, tenant)
        root = str(_root_of(uri, allowed, tenant))
        below = str(_path_of(uri).relative_to(root))
        names = _matches(root, below) if _MAGIC & set(below) else [below]
        found = [Location("file://" + str(PurePosixPath(root) / name), root, name) for name in names]
    if not found:
        raise SourceNotFound(f"No file matches {uri}")
    return found


def _matches(root: str, pattern: str) -> list[str]:
    """The names that match, each once: `**/**` finds one file in several ways."""
    found: set[str] = set()
    for name in glob.iglob(pattern, root_dir=root, recursive=True):  # noqa: PTH207  # names below the root are wanted
        if not Path(root, name).is_dir():
            found.add(name)
        if len(found) > MAX_FILES:
            raise LimitExceeded(f"More than {MAX_FILES:,} files match {pattern!r}; give a narrower pattern, or several jobs")
    return sorted(found)


def _parts(below: str) -> Iterator[tuple[str, bool]]:
    parts = PurePosixPath(below).parts
    for index, part in enumerate(parts):
        yield part, index == len(parts) - 1


def open_beneath(location: Location) -> int:
    """A read-only descriptor of a regular file, reached from the root one step at a time and never through a symlink.

    Raises SourceNotFound, or SourceUnreadable for anything that is not a readable regular file.
    """
    folder = _step(location, location.root, os.O_DIRECTORY, None)
    for part, is_last in _parts(location.below):
        # O_NONBLOCK: opening a named pipe must not wait for a writer
        flags = os.O_NOFOLLOW | (os.O_NONBLOCK if is_last else os.O_DIRECTORY)
        try:
            inner = _step(location, part, flags, folder)
        finally:
            os.close(folder)
        folder = inner
    if not stat.S_ISREG(os.fstat(folder).st_mode):
        os.close(folder)
        raise SourceUnreadable(f"{location.uri} is not a regular file")
    return folder


def _step(location: Location, part: str, flags: int, folder: int | None) -> int:
    try:
        return os.open(part, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=folder)
    except FileNotFoundError as error:
        raise SourceNotFound(f"{location.uri} does not exist") from error
    except OSError as error:
        is_link = error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and _is_link(part, folder))
        reason = "goes through a symbolic link" if is_link else (error.strerror or str(error)).lower()
        raise SourceUnreadable(f"{location.uri} cannot be opened: {reason}") from error


def _is_link(part: str, folder: int | None) -> bool:
    return stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
