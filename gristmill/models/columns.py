"""The columns of a result, and their names in Python."""

import json
import keyword
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from gristmill.client import documents
from gristmill.client.documents import ResultDocument


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` is its type without digits and `[]`; `digits` are a decimal's precision and scale."""

    name: str
    attribute: str
    kind: str
    digits: tuple[int, ...]
    array: bool

    @property
    def renamed(self) -> bool:
        return self.attribute != self.name


_TYPE = re.compile(r"(bool|int64|float64|string|date|timestamp|timestamptz|decimal\((\d+),\s?(\d+)\))(\[\])?")


def columns(result: ResultDocument, taken: frozenset[str]) -> list[Column]:
    """The columns after `_id`. No attribute is in *taken*; raises ValueError for an unknown type."""
    names = attributes([column["name"] for column in result["columns"]], taken)
    return [_column(one, name) for one, name in zip(result["columns"], names, strict=True)]


def _column(column: documents.Column, attribute: str) -> Column:
    found = _TYPE.fullmatch(column["type"])
    if found is None:
        raise ValueError(
            f"The column {column['name']!r} has the type {column['type']!r}, which this version of gristmill "
            "does not know: install the version of the gateway"
        )
    digits = tuple(int(number) for number in (found[2], found[3]) if number)
    return Column(column["name"], attribute, found[1].partition("(")[0], digits, found[4] is not None)


def attributes(names: Collection[str], taken: frozenset[str]) -> list[str]:
    """A Python name for each column, the column's own where that is possible.

    They differ from each other and from *taken*. None begins or ends with `_` or has `__`: Django and Python
    read such names otherwise.
    """
    given: list[str] = []
    for name in names:
        letters = (c if f"a{c}".isidentifier() else "_" for c in unicodedata.normalize("NFKC", name))
        wanted = re.sub("_+", "_", "".join(letters)).strip("_")
        if not wanted.isidentifier():
            wanted = f"column_{wanted}".rstrip("_")
        if keyword.iskeyword(wanted) or wanted in taken:
            wanted += "_column"
        number, tried = 1, wanted
        while tried in given or (tried != name and tried in names):
            number += 1
            tried = f"{wanted}_{number}"
        given.append(tried)
    return given


def class_name(result: ResultDocument, taken: frozenset[str]) -> str:
    """`OrdersByMonth` of `orders_by_month`."""
    assert result["name"] is not None  # it was found by its name
    name = "".join(part.capitalize() for part in result["name"].split("_"))
    return f"{name}Result" if keyword.iskeyword(name) or name in taken else name


def schema_and_view(result: ResultDocument) -> tuple[str, str]:
    """Of the view, without quotes: their names hold a-z, 0-9 and `_` only."""
    schema, _, view = result["relation"].replace('"', "").partition(".")
    return schema, view


def literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
