"""The kinds of undeclared columns of text, from samples of their values, by the grammar in `literals`.

A column is inferred for its values, for its spelling as a group key, or for both. Decimals are never
inferred.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shared.spec.source import SourceSpec
from shared.spec.types import Kind, join
from shared.spec.uses import Uses
from worker_service.readers.literals import Column, narrowest

_KINDS: tuple[Kind, ...] = ("bool", "int64", "float64", "date", "timestamp", "timestamptz", "string")
"""Each before those that hold its values."""
_KEY_KINDS: tuple[Kind, ...] = ("bool", "int64", "date", "timestamp", "string")
"""Those whose values have one spelling each. `10.10` and `10.1` stay two keys."""


class Use(NamedTuple):
    """A column, as a group key or by its values."""

    column: str
    key: bool


def undeclared(columns: Sequence[str], source: SourceSpec, uses: Uses) -> Iterator[Use]:
    """The uses of *columns* whose kind is to be inferred."""
    keys, values = set(uses.keys), set(uses.values)
    for column in columns:
        if column not in source.types:
            yield from (Use(column, key) for key, used in ((True, keys), (False, values)) if column in used)


def kind_of(text: Column, use: Use, source: SourceSpec) -> Kind:
    """The narrowest kind that holds every text; `null` where there is none."""
    if text.null_count == len(text):
        return "null"
    kinds = _KEY_KINDS if use.key else _KINDS
    return narrowest(text, kinds, source, key=use.key)


def joined(left: Kind, right: Kind, use: Use) -> Kind:
    """The narrowest kind that holds the texts of both. Keys of two kinds are strings."""
    if not use.key or "null" in {left, right}:
        return join(left, right)
    return left if left == right else "string"
