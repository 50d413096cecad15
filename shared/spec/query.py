"""A spec bound to a schema: the computation itself, with all names resolved and all types known."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from shared.spec.buckets import bucket_type
from shared.spec.expressions import Typed
from shared.spec.functions import FUNCTIONS
from shared.spec.types import DataType

Semantics = Literal["sql", "pandas"]

MADE_MARK = "\0\0"
"""Begins the name of a column that only batches have: the buckets of a key, the condition of an aggregate.

No column of a dataset has these characters in its name.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucketing:
    """Cuts *column*, whose type is *of*, into buckets of one width, as clocks in *zone* show its times.

    `zone` is None where the column has no zone: then it is cut as it stands.
    """

    column: str
    of: DataType
    width: str
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A column that is made of other *columns* of a batch, or of the result.

    `at` is the place in the spec, a JSON Pointer.
    """

    name: str
    by: Typed | Bucketing
    columns: tuple[str, ...]
    at: str

    @property
    def type(self) -> DataType:
        return self.by.type if isinstance(self.by, Typed) else bucket_type(self.by.of, self.by.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One group key: the batches' column and the result's name for it."""

    column: str
    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Input:
    """A column of the batches that an aggregate reads."""

    column: str
    type: DataType


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One aggregate, which makes one result column.

    `inputs` are in the order of the function's parameters; a count of all rows has none. `where` is the
    batches' column of bools that picks the aggregate's rows: those where it is true. `result` is the type of
    the result column; where `may_widen` is true it is int64 unless some group needs decimal(38,0).
    """

    fn: str
    name: str
    inputs: tuple[Input, ...]
    result: DataType
    where: str | None = None
    may_widen: bool = False
    ddof: int = 1
    q: float = 0.5
    k: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(given.column for given in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The computation of each batch, of each group, and of the finalized groups.

    Of a batch `derived` comes first, each of them made of the columns before it. Then `where` picks rows, and
    `made` is made of those. Of the finalized groups `computed` is made, and `having` picks.
    """

    keys: tuple[Key, ...]
    aggregates: tuple[Aggregate, ...]
    semantics: Semantics
    max_groups: int
    max_state_bytes: int = 8 * 1024**3
    derived: tuple[Made, ...] = ()
    where: Made | None = None
    made: tuple[Made, ...] = ()
    computed: tuple[Made, ...] = ()
    having: Made | None = None

    @property
    def keeps_lists(self) -> bool:
        """Whether states hold lists of values, which take more room while they are combined."""
        return any(FUNCTIONS[aggregate.fn].lists for aggregate in self.aggregates)

    @property
    def of_batches(self) -> tuple[Made, ...]:
        """All that is made of a batch, in this order."""
        return (*self.derived, *([self.where] if self.where else ()), *self.made)

    def made_of(self, columns: Collection[str]) -> set[str]:
        """The columns of batches that are made of *columns*, of one of them at least, or of such a column."""
        found = set(columns)
        for each in self.of_batches:
            found |= {each.name} if found.intersection(each.columns) else set()
        return found.difference(columns)

    @property
    def grouped(self) -> list[str]:
        """The batches' columns that keys and aggregates read, each once, keys first."""
        used = [key.column for key in self.keys]
        for aggregate in self.aggregates:
            used += [*aggregate.columns, *([aggregate.where] if aggregate.where else ())]
        return list(dict.fromkeys(used))

    @property
    def columns(self) -> list[str]:
        """The dataset's columns that have to be read, each once, keys first."""
        used = [*self.grouped, *(column for made in self.of_batches for column in made.columns)]
        own = {made.name for made in self.of_batches}
        return [column for column in dict.fromkeys(used) if column not in own]

    @property
    def result(self) -> dict[str, DataType]:
        """The columns of the result with their types, in order: keys, aggregates, computed ones."""
        return {
            **{key.name: key.type for key in self.keys},
            **{aggregate.name: aggregate.result for aggregate in self.aggregates},
            **{computed.name: computed.type for computed in self.computed},
        }
