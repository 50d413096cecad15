"""A spec bound to a schema: the computation itself, with all names resolved and all types known."""

from dataclasses import dataclass
from typing import Literal

from shared.spec.types import DataType

Semantics = Literal["sql", "pandas"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One group key: the dataset's column and the result's name for it."""

    column: str
    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Input:
    """A column of the dataset that an aggregate reads."""

    column: str
    type: DataType


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One aggregate, which makes one result column.

    `inputs` are in the order of the function's parameters; a count of rows has none. `result` is the type of
    the result column; where `may_widen` is true it is int64 unless some group needs decimal(38,0).
    """

    fn: str
    name: str
    inputs: tuple[Input, ...]
    result: DataType
    may_widen: bool = False
    ddof: int = 1
    q: float = 0.5
    k: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(given.column for given in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    keys: tuple[Key, ...]
    aggregates: tuple[Aggregate, ...]
    semantics: Semantics
    max_groups: int
    max_state_bytes: int = 8 * 1024**3

    @property
    def columns(self) -> list[str]:
        """The dataset's columns that have to be read, each once, keys first."""
        used = [key.column for key in self.keys] + [column for a in self.aggregates for column in a.columns]
        return list(dict.fromkeys(used))
