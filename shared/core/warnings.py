"""The warnings of a plan: each stops nothing, and the owner of the job should know it."""

import json
from collections.abc import Iterable

from shared.core.plan import Warned
from shared.spec.names import quote

MAX_WARNINGS = 100


def sorted_warnings(found: Iterable[Warned]) -> tuple[Warned, ...]:
    """The first ones by code and detail, each once: the same for any chunking."""
    return tuple(sorted(set(found), key=lambda warned: (warned.code, warned.detail))[:MAX_WARNINGS])


def text_warning(column: str, family: str, culprits: str = "") -> Warned:
    """*column* is text, and most of its sampled values read as *family*.

    Without *culprits* all of them do, and a later value does not.
    """
    why = culprits or "a value that the samples do not hold does not"
    told = f"{quote(column)} is read as text, and most of its values read as a {family}: {why}"
    return Warned("read_as_text", f"{told}; {_as_text(column)} if that is right", column)


def spellings_warning(column: str) -> Warned:
    told = f"{quote(column)} has numbers that are spelled in several ways, which are one value: 1.0 and 1"
    return Warned("spellings_differ", f"{told}; {_as_text(column)} to keep them apart", column)


def key_warning(column: str, kind: str, value: str) -> Warned:
    """A group key is of another *kind* than its values, which read as *value*."""
    told = (
        f"{quote(column)} reads as {value}, and as a group key it is {kind}, because a key keeps its spelling"
    )
    cure = f"{_declared(column, value)} if equal values in several spellings are one group"
    return Warned("key_keeps_spelling", f"{told}: {cure}", column)


def _as_text(column: str) -> str:
    return _declared(column, "string")


def _declared(column: str, kind: str) -> str:
    return f"write {json.dumps({column: kind}, ensure_ascii=False)} into source.types"
