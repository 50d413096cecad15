"""The URIs of `source.uris`: their syntax, and the path that a file URI names."""

import re
from urllib.parse import unquote

MAX_URI = 4096
_URI = re.compile(r"([a-z][a-z0-9+.-]+):(.+)")
UPLOAD = "upload:"
_UPLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEMBER = re.compile(r"(upload:[^!/]+|file:///.*?\.zip)!/(.+)", re.IGNORECASE)
_ESCAPED_MAGIC = re.compile(r"%(?:2a|3f|5b)", re.IGNORECASE)


def split_member(uri: str) -> tuple[str, str | None]:
    """The URI of the file, and the pattern of its members where *uri* names members of a zip file."""
    found = _MEMBER.fullmatch(uri)
    return (found[1], found[2]) if found else (uri, None)


def member_pattern(written: str) -> str:
    """The pattern that `split_member` found, percent-escapes decoded once. Raises ValueError."""
    return _decoded(_ESCAPED_MAGIC.sub(r"[\g<0>]", written))


def check_uri(uri: str) -> str:
    """Return *uri*. Raises ValueError, without repeating the URI, which may hold a password."""
    found = _URI.fullmatch(uri)
    if len(uri) > MAX_URI or _CONTROL.search(uri) or not found:
        raise ValueError(
            "a source is upload:<id> or file:///<path>, without control characters, "
            f"at most {MAX_URI} characters"
        )
    file, members = split_member(uri)
    member_pattern(members or "")
    if found[1] == "file":
        file_path(file)
    if found[1] == "upload" and not _UPLOAD.fullmatch(file.removeprefix(UPLOAD)):
        raise ValueError("after upload: comes the id that POST /v1/uploads gave")
    return uri


def file_path(uri: str) -> str:
    """The absolute path of a `file:///` URI, percent-escapes decoded once. Raises ValueError."""
    if not uri.startswith("file:///"):
        raise ValueError("a file is named by its absolute path and no host: file:///data/sales.csv")
    path = _decoded(uri.removeprefix("file://"))
    if _CONTROL.search(path):
        raise ValueError("a file URI holds a control character")
    if ".." in path.split("/"):
        raise ValueError("a file URI may not hold a .. step")
    if path.endswith("/"):
        raise ValueError(
            "a file URI names a file, not a folder; file:///data/*.csv names every CSV file of one"
        )
    return path


def _decoded(path: str) -> str:
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError("the percent-escapes of a file URI are not UTF-8") from error


def file_pattern(uri: str) -> str:
    """The same path as a pattern, where an escaped `*`, `?` or `[` stands for itself. Raises ValueError."""
    return file_path(_ESCAPED_MAGIC.sub(r"[\g<0>]", uri))


def is_supported(uri: str) -> bool:
    return uri.startswith((UPLOAD, "file:"))
