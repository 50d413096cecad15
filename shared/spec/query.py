"""A spec bound to a schema: what the workers compute, every name resolved and every type known."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One aggregate. `column` and `type` are None for a bare count.

    `result` is the result column's type; where `may_widen` is true it is int64 unless some group needs decimal(38,0).
    """

    fn: str
    name: str
    column: str | None
    type: DataType | None
    result: DataType
    may_widen: bool = False
    ddof: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    keys: tuple[Key, ...]
    aggregates: tuple[Aggregate, ...]
    semantics: Semantics
    max_groups: int

    @property
    def columns(self) -> list[str]:
        """The dataset's columns that have to be read, each once, keys first."""
        used = [key.column for key in self.keys] + [a.column for a in self.aggregates if a.column is not None]
        return list(dict.fromkeys(used))
