"""The files that the command line names."""

import difflib
import glob
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote

from gristmill.cli.mistakes import Mistake

if TYPE_CHECKING:
    from gristmill import Client

_URI = re.compile(r"upload:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MEMBER = re.compile(r"(.*?\.zip)!/.+", re.IGNORECASE)

Given = str | IO[bytes]
"""A URI, or an open file to upload."""
Names = dict[str, str]
"""URI -> the name that the user gave."""


def read_here(files: Sequence[str], names: Names) -> tuple[list[Given], list[str]]:
    """The sources of an embedded service, and the folders of the files as URLs.

    The service reads files where they are. Raises Mistake.
    """
    sources: list[Given] = []
    read: list[Path] = []
    for name in files:
        if name.startswith("upload:"):
            raise Mistake(f"{name}: an embedded service has no uploads; name the service of it with --url")
        if _URI.match(name):
            sources.append(name)
            if local := re.fullmatch("file://(/.*)", name):
                read.append(Path(unquote(local[1])))
            continue
        archive, members = _member(name) or (name, "")
        for given in _found(archive):
            if name == "-" or not given.is_file():
                sources.append(_open(name, given))
                continue
            path = given.resolve()
            sources.append(file_uri(path) + members)
            names[file_uri(path)] = str(given)
            read.append(path)
    return sources, sorted({folder_uri(path) for path in read})


def upload_all(files: Sequence[str], names: Names, client: "Client") -> list[Given]:
    """The URIs for a service elsewhere: all but URIs are uploaded. Raises Mistake."""
    uris: list[Given] = []
    for name in files:
        if _URI.match(name):
            uris.append(name)
            continue
        archive, members = _member(name) or (name, "")
        for given in _found(archive):
            source = given if given.is_file() and name != "-" else _open(name, given)
            uri = client.upload(source)["uri"]
            names[uri] = str(given)
            uris.append(uri + members)
    return uris


def one_file(name: str) -> Path | IO[bytes]:
    """A file to upload. Raises Mistake."""
    found = _found(name)
    if len(found) != 1:
        raise Mistake(f"{name} is {len(found)} files, and one is uploaded at a time")
    return found[0] if found[0].is_file() and name != "-" else _open(name, found[0])


def _open(name: str, path: Path) -> IO[bytes]:
    """A pipe."""
    return sys.stdin.buffer if name == "-" else path.open("rb")


def _found(name: str) -> list[Path]:
    """The files that a name or a pattern stands for, by name.

    Raises Mistake with the place and a cure, if there is none.
    """
    path = Path(name)
    if name == "-":
        return [path]
    if path.is_dir():
        raise Mistake(f"{name} is a folder: name its files, such as '{name.rstrip('/')}/*.csv'")
    if path.exists():
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207  # of any folder
    files = [match for match in matches if match.is_file()]
    if not files:
        raise Mistake(_missing(name, path))
    return files


def _missing(name: str, path: Path) -> str:
    folder = path.parent
    if glob.has_magic(name):
        return f"no file fits the pattern {name!r} (the current folder is {Path.cwd()})"
    if not folder.is_dir():
        return f"there is no file {name}: there is no folder {folder.absolute()}"
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    near = difflib.get_close_matches(path.name, names, n=1)
    cure = f"; did you mean {folder / near[0]}?" if near else ""
    return f"there is no file {path.name} in {folder.absolute()}{cure}"


def file_uri(path: Path) -> str:
    """The URI of exactly this file, whatever signs its name has."""
    return "file://" + quote(os.fsencode(path))


def _member(name: str) -> tuple[str, str] | None:
    """The zip file and the pattern of its members, if the name has both: `a.zip!/*.csv`."""
    fits = _MEMBER.fullmatch(name)
    return None if fits is None or Path(name).exists() else (fits[1], name[len(fits[1]) :])


def folder_uri(path: Path) -> str:
    """The folder of a file, as a setting of the service has it."""
    return file_uri(path.parent).rstrip("/") + "/"
