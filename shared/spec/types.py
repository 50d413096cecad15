"""The column types of datasets and results, and the types to which a column may widen."""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["null", "bool", "int64", "float64", "decimal", "string", "date", "timestamp", "timestamptz"]
"""`null` is the type of a column in which no value has been seen; it never leaves the planner."""

SIMPLE: tuple[Kind, ...] = ("bool", "int64", "float64", "string", "date", "timestamp", "timestamptz")
_DECIMAL = re.compile(r"decimal\((\d{1,2}),\s?(\d{1,2})\)")


@dataclass(frozen=True, slots=True)
class DataType:
    """One column type; `precision` and `scale` are decimal digits, of decimals only.

    Columns of a dataset are never arrays; a column of a result may be one, of elements that are not null.
    """

    kind: Kind
    precision: int = 0
    scale: int = 0
    array: bool = False

    def __str__(self) -> str:
        element = f"decimal({self.precision},{self.scale})" if self.kind == "decimal" else self.kind
        return f"{element}[]" if self.array else element


BOOL, INT64, FLOAT64, STRING = DataType("bool"), DataType("int64"), DataType("float64"), DataType("string")
DATE, TIMESTAMP, TIMESTAMPTZ, NULL = (
    DataType("date"),
    DataType("timestamp"),
    DataType("timestamptz"),
    DataType("null"),
)


def parse_type(text: str) -> DataType:
    """Read `int64` or `decimal(18,2)`; raises ValueError with the accepted spellings."""
    for kind in SIMPLE:
        if text == kind:
            return DataType(kind)
    if (found := _DECIMAL.fullmatch(text)) and 0 < int(found[1]) <= 38 and int(found[2]) <= int(found[1]):
        return DataType("decimal", int(found[1]), int(found[2]))
    raise ValueError(
        f"{text!r} is not a type; use one of {', '.join(SIMPLE)} or decimal(p,s) with s <= p <= 38"
    )


EVERY_TYPE = frozenset(
    f"{of}{array}"
    for of in (*SIMPLE, *(f"decimal({p},{s})" for p in range(1, 39) for s in range(p + 1)))
    for array in ("", "[]")
)
"""The types that a column of a result may have."""


def parse_result_type(text: str) -> DataType:
    """Read the type of a result's column, which may be an array: `int64[]`."""
    return replace(parse_type(text.removesuffix("[]")), array=text.endswith("[]"))


@dataclass(frozen=True, slots=True)
class Field:
    """A column as it is read: its `name` in tables, and the `column` of the dataset that it comes from.

    `declared` means that the spec gives its type, so that it never widens. A `key` is read for its spelling,
    as a group key; the same column may be read as another field, for its values. `reads` is the
    sort of value that more than half of the sampled texts read as: number, bool, time, or empty for text.
    """

    name: str
    type: DataType
    declared: bool = False
    key: bool = False
    reads: str = ""

    @property
    def column(self) -> str:
        return self.name.removeprefix(KEY_MARK)

    @property
    def wider(self) -> list[Kind]:
        """Every kind that the column may widen to, nearest first. A key's spelling fits `string` only."""
        if self.declared or self.type == STRING:
            return []
        return ["string"] if self.key else widenings(self.type.kind)


KEY_MARK = "\0"
"""Begins the name of a field that is read as a key, where the column's own name is that of its values.

No column of a dataset has this character in its name.
"""


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a dataset that a job uses, as they are read."""

    fields: tuple[Field, ...]
    _by_name: dict[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {field.name: field for field in reversed(self.fields)})

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def key(self, column: str) -> Field:
        """The field of *column* as a group key."""
        return self._by_name.get(KEY_MARK + column) or self[column]

    @property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]


_WIDER: dict[Kind, tuple[Kind, ...]] = {
    "null": ("bool", "int64", "date", "timestamp", "timestamptz"),
    "bool": ("string",),
    "int64": ("float64",),
    "float64": ("string",),
    "decimal": ("string",),
    "date": ("timestamp",),
    "timestamp": ("string",),
    "timestamptz": ("string",),
    "string": (),
}


def widenings(kind: Kind) -> list[Kind]:
    """Every kind that *kind* may widen to, nearest first; `string` is last and holds everything."""
    found: list[Kind] = []
    for wider in _WIDER[kind]:
        found += [wider, *widenings(wider)]
    return sorted(set(found), key=lambda k: (k == "string", found.index(k)))


def join(left: Kind, right: Kind) -> Kind:
    """The narrowest kind that holds the values of both; `string` holds everything."""
    options = [left, *widenings(left)]
    return next(kind for kind in options if kind in {right, *widenings(right)})
