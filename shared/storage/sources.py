"""Which files `source.uris` may name.

Nothing here touches the file system: a child process finds and opens them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from shared.errors import SourceNotAllowed, SourceNotFound
from shared.settings import Settings
from shared.spec.uris import file_path, file_pattern

UPLOAD = "upload:"
_UPLOAD_ID = re.compile(r"upl_[0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a URI leads: a folder that may be read from, and a name below it, or a pattern of names."""

    uri: str
    root: str
    below: str

    @property
    def steps(self) -> tuple[str, ...]:
        return PurePosixPath(self.below).parts

    @property
    def is_upload(self) -> bool:
        return self.uri.startswith(UPLOAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """Which files jobs may name: URL prefixes, the folder of uploads, and whether steps may begin with a dot."""

    allowed: Sequence[str]
    uploads: str
    hidden: bool


def source_rules(settings: Settings) -> SourceRules:
    uploads = str(settings.storage.absolute() / "uploads")
    return SourceRules(allowed=settings.sources, uploads=uploads, hidden=settings.allow_hidden_sources)


def locate(uri: str, pointer: str, rules: SourceRules, tenant: str) -> Location:
    """Raises SourceNotAllowed for a file outside GRISTMILL_SOURCES or with a hidden step below its root.

    Raises SourceNotFound for what cannot be the id of an upload.
    """
    if uri.startswith(UPLOAD):
        upload_id = uri.removeprefix(UPLOAD)
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise SourceNotFound(f"There is no upload {upload_id!r}", pointer=pointer)
        return Location(uri, f"{rules.uploads}/{tenant}", upload_id)
    try:
        path, pattern = PurePosixPath(file_path(uri)), PurePosixPath(file_pattern(uri))
    except ValueError as error:
        raise SourceNotAllowed(f"{uri!r} is not allowed: {error}", pointer=pointer) from error
    allowed = [prefix.replace("{tenant}", tenant) for prefix in rules.allowed if prefix.startswith("file:///")]
    roots = [PurePosixPath(unquote(prefix.removeprefix("file://"))) for prefix in allowed]
    around = [root for root in roots if path.is_relative_to(root) and path != root]
    if not around:
        where = ", ".join(allowed) or "nothing: set GRISTMILL_SOURCES, or upload the file"
        raise SourceNotAllowed(f"{uri!r} does not lie under an allowed source ({where})", pointer=pointer)
    root = max(around, key=lambda root: len(root.parts))
    location = Location(uri, str(root), "/".join(pattern.parts[len(root.parts) :]))
    if not rules.hidden:
        refuse_hidden(location, pointer)
    return location


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
