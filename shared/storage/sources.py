"""Which URIs a job may name, and opening the files behind them without leaving the allowed folders."""

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from shared.errors import LimitExceeded, SourceNotAllowed, SourceNotFound, SourceUnreadable, StorageUnavailable

MAX_FILES = 10_000
_MAGIC = frozenset("*?[")
_UPLOAD = re.compile(r"upl_[0-9a-z]+")
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}
"""What says nothing about the file: the machine has no descriptors or memory left, or its disk does not answer."""


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
    """The names of files that match, each once: `**/**` finds one file in several ways."""
    found: set[str] = set()
    for name in _below(root, "", PurePosixPath(pattern).parts):
        found.add(name)
        if len(found) > MAX_FILES:
            raise LimitExceeded(f"More than {MAX_FILES:,} files match {pattern!r}; give a narrower pattern, or several jobs")
    return sorted(found)


def _below(root: str, folder: str, parts: tuple[str, ...]) -> Iterator[str]:
    """What `glob` finds in *folder*, but a folder that cannot be listed is an error: the standard library's passes over it in silence."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _below(root, folder, rest or ("*",))
    for entry in _entries(root, folder):
        name = os.path.join(folder, entry.name)  # noqa: PTH118  # names, not places
        if part == "**" and entry.is_dir(follow_symlinks=False):
            yield from _below(root, name, parts)
        elif part != "**" and fnmatch.fnmatchcase(entry.name, part):
            if not rest and not entry.is_dir():
                yield name
            elif rest and entry.is_dir():
                yield from _below(root, name, rest)


def _entries(root: str, folder: str) -> list[os.DirEntry[str]]:
    """Without hidden ones."""
    path = Path(root, folder)
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []  # it has just gone, or never was: then nothing in it matches
    except OSError as error:
        kind = StorageUnavailable if error.errno in _PASSING else SourceUnreadable
        raise kind(f"file://{path} cannot be listed: {os.strerror(error.errno or 0).lower()}") from error


def _parts(below: str) -> Iterator[tuple[str, bool]]:
    parts = PurePosixPath(below).parts
    for index, part in enumerate(parts):
        yield part, index == len(parts) - 1


def open_beneath(location: Location) -> int:
    """A read-only descriptor of a regular file, reached from the root one step at a time and never through a symlink.

    Raises SourceNotFound, SourceUnreadable for anything that is not a readable regular file, or StorageUnavailable if that cannot be told now.
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
        if error.errno in _PASSING:
            raise StorageUnavailable(f"{location.uri} cannot be opened now: {os.strerror(error.errno).lower()}") from error
        is_link = error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and _is_link(part, folder))
        reason = "goes through a symbolic link" if is_link else (error.strerror or str(error)).lower()
        raise SourceUnreadable(f"{location.uri} cannot be opened: {reason}") from error


def _is_link(part: str, folder: int | None) -> bool:
    return stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode)
