"""Columns that a file has by its place: the folders `name=value` of its path, and its URI.

Such a column has one text for each file. It is typed as a column of CSV is: declared, or inferred from the
texts of all files.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote_to_bytes

from shared.errors import SchemaConflict
from shared.spec.names import quote
from shared.spec.source import SourceSpec

_NULLS = "", "__HIVE_DEFAULT_PARTITION__"

Texts = dict[str, str | None]
"""By column. None is null."""


def path_texts(uri: str, source: SourceSpec) -> Texts:
    """The columns that *source* takes from the path of a file. Raises SchemaConflict."""
    texts: Texts = {}
    for name, value in folders(uri) if source.partitions else ():
        if name in texts:
            raise SchemaConflict(f"{uri} has two folders {quote(name + '=…')}; rename one of them")
        texts[name] = None if value in _NULLS else value
    if source.file_column is not None:
        if source.file_column in texts:
            told = f"{uri} has a folder {quote(source.file_column + '=…')}"
            raise SchemaConflict(f"{told}; choose another name for source.file_column")
        texts[source.file_column] = uri
    return texts


def folders(uri: str) -> Iterator[tuple[str, str]]:
    """The name and the value of each folder `name=value` above the file, percent-decoded.

    A URI escapes some characters of a path, and the writer of the folders escaped some of a value.
    """
    for step in uri.split("/")[:-1]:
        name, equals, value = _decoded(step, uri).partition("=")
        if name and equals:
            yield _decoded(name, uri), _decoded(value, uri)


def proposed(name: str, uris: Iterable[str]) -> str:
    """A hint for the message about an unknown column *name*: empty unless a folder has that name."""
    found = any(name == folder for uri in uris for folder, _ in folders(uri))
    return f'; the path has folders {quote(name + "=…")}: set source.partitions to "hive"' if found else ""


def _decoded(text: str, uri: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise SchemaConflict(f"{uri}: the folder {quote(text)} is no UTF-8 text; rename it") from error
