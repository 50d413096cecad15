"""The rules for the files that `source.uris` may name.

Nothing here touches the file system: a child process finds and opens the files.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from posixpath import normpath
from urllib.parse import unquote

from shared.errors import SourceNotAllowed, SourceNotFound
from shared.settings import Settings
from shared.spec.uris import UPLOAD, file_path, file_pattern, member_pattern, split_member

_UPLOAD_ID = re.compile(r"upl_[0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Location:
    """The target of a URI: an allowed folder, and a name or a pattern of names below it.

    `members` is a pattern of names in a zip file; None means all members.
    """

    uri: str
    root: str
    below: str
    members: str | None = None

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(self.below.split("/")) if self.below else ()

    @property
    def is_upload(self) -> bool:
        return self.uri.startswith(UPLOAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """Allowed URL prefixes, the folder of uploads, and whether a name may begin with a dot."""

    allowed: tuple[str, ...]
    uploads: str
    hidden: bool


def source_rules(settings: Settings) -> SourceRules:
    uploads = str(settings.storage.absolute() / "uploads")
    return SourceRules(allowed=tuple(settings.sources), uploads=uploads, hidden=settings.allow_hidden_sources)


def upload_root(rules: SourceRules, tenant: str) -> str:
    """The folder of a tenant's uploads on this machine; another one may have it elsewhere."""
    return f"{rules.uploads}/{tenant}"


def locate(uri: str, pointer: str, rules: SourceRules, tenant: str) -> Location:
    """The location of a URI of *tenant*.

    Raises SourceNotAllowed for a file outside GRISTMILL_SOURCES or with a hidden step below its root. Raises
    SourceNotFound for a text that cannot be the id of an upload.
    """
    file, written = split_member(uri)
    members = member_pattern(written) if written else None
    if uri.startswith(UPLOAD):
        upload_id = file.removeprefix(UPLOAD)
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise SourceNotFound(f"There is no upload {upload_id!r}", pointer=pointer)
        return Location(uri, upload_root(rules, tenant), upload_id, members)
    try:
        path, pattern = normpath(file_path(file)), normpath(file_pattern(file))
    except ValueError as error:
        raise SourceNotAllowed(f"{uri!r} is not allowed: {error}", pointer=pointer) from error
    root = next((root for root in _roots(rules, tenant) if path.startswith(root)), None)
    if root is None:
        where = ", ".join(_prefixes(rules, tenant)) or "nothing: set GRISTMILL_SOURCES, or upload the file"
        raise SourceNotAllowed(f"{uri!r} does not lie under an allowed source ({where})", pointer=pointer)
    below = "/".join(pattern.split("/")[root.count("/") :])
    location = Location(uri, root.rstrip("/") or "/", below, members)
    if not rules.hidden:
        refuse_hidden(location, pointer)
    return location


def _prefixes(rules: SourceRules, tenant: str) -> list[str]:
    return [prefix.replace("{tenant}", tenant) for prefix in rules.allowed if prefix.startswith("file:///")]


@lru_cache
def _roots(rules: SourceRules, tenant: str) -> list[str]:
    """The paths of the allowed folders, with a slash at the end, the longest first.

    Cached, because a spec may name 10,000 files.
    """
    paths = (PurePosixPath(unquote(prefix.removeprefix("file://"))) for prefix in _prefixes(rules, tenant))
    return sorted((str(path).rstrip("/") + "/" for path in paths), key=len, reverse=True)


def refuse_hidden(location: Location, pointer: str | None = None) -> None:
    """Raise SourceNotAllowed for a step below the root that begins with a dot."""
    for step in location.steps:
        if step.startswith("."):
            what = f"{location.uri!r} has the step {step!r}, which begins with a dot"
            cure = "hidden files and folders are no sources unless GRISTMILL_ALLOW_HIDDEN_SOURCES is true"
            raise SourceNotAllowed(f"{what}; {cure}", pointer=pointer)


def own_folders(settings: Settings) -> list[str]:
    """The folders of the service itself, which no file source may lead into."""
    return [str(folder.absolute()) for folder in (settings.storage, *settings.protected_folders)]
