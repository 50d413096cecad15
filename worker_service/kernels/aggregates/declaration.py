"""An aggregate function is declared as data: a `Kernel`.

A kernel names the states that it needs of its inputs, and the function that finalizes them. That function
makes the result column of the combined states. A `State` says which columns it keeps of a group. Its
`partial` makes them from rows, its `combine` makes those of many chunks into those of all. Kernels share
states: sum, mean and var of one column keep its sum once. The engine runs any kernel by its declaration
alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from shared.spec.query import Aggregate, Semantics
from worker_service.arrow import Array, Ints
from worker_service.kernels.group_words import GroupWords, Step
from worker_service.kernels.grouping import Groups

Columns: TypeAlias = Mapping[str, Array]
"""The columns of one state, one row a group, by suffix: `""`, or `-2`, `0`, `nan` of the parts of a sum.

Those of lists are chunked arrays, where they come from a table of states.
"""

_ROW_BITS = 40
MAX_CHUNKS = 1 << (63 - _ROW_BITS)


def row_ordinal(chunk: int, row: int) -> int:
    """The number of a row in the order of the dataset: of files as listed, and of offsets in a file.

    Chunks are numbered in that order, rows within their chunk.
    """
    return chunk << _ROW_BITS | row


@dataclass(frozen=True)
class Rows:
    """Some rows of a frame: one array of values for each input of a state, and the rows' groups.

    `indices` are the rows' positions in the frame, None for all of its rows; `first_ordinal` is the ordinal
    of the frame's first row.
    """

    values: tuple[Array, ...]
    groups: Groups
    indices: Ints | None
    first_ordinal: int
    ranges: dict[int, Any] = field(default_factory=dict, compare=False)
    """Facts that running forms found out about the values of an input, for others that need the same."""

    @cached_property
    def ordinals(self) -> Ints:
        """See `row_ordinal`."""
        indices = np.arange(len(self.groups.codes)) if self.indices is None else self.indices
        return indices + self.first_ordinal


class Running(Protocol):
    """The values of one state for all groups, changed in place by more rows."""

    @property
    def nbytes(self) -> int:
        """Without the totals that it has in `GroupWords`."""

    def add(self, rows: Rows) -> Sequence[Step]:
        """Rows of some of the `rows.groups`, whose number only grows and whose codes stay as they are.

        Returns the steps that `GroupWords` has to take before the next rows.
        """

    def columns(self, groups: int) -> Columns:
        """The columns that `partial` makes of all rows so far, one row for each of *groups*.

        The values of a list may have another order, unless they have counts.
        """


Types: TypeAlias = tuple["pa.DataType", ...]
Start: TypeAlias = Callable[[GroupWords, Types], Running | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """A running value of each group, made of some inputs, of which any two can be combined.

    *columns* maps the suffix of each column to its dtype. A column is named `<name>` or `<name>_<suffix>`.
    The dtype "own" is that of the first input, "by" that of the second. `<j>` stands for any number of grid
    indexes. *identity* is the value of a group without rows, and of a column that a table does not have: 0,
    or None for null. *needs* are the positions of the inputs whose null excludes a row; None is all of them.
    *combine* is associative and commutative, to the bit. A *growing* state takes more memory the more
    distinct values there are. *running* begins the running form for inputs of some types.
    It needs the native library, and gives None where they have none.
    """

    name: str
    columns: Mapping[str, str]
    identity: int | None
    partial: Callable[[Rows], Columns]
    combine: Callable[[Columns, Groups], Columns]
    needs: Mapping[Semantics, tuple[int, ...]] | None = None
    growing: bool = False
    running: Start | None = None


@dataclass(frozen=True, slots=True)
class Combined:
    """The combined states of one aggregate, one row a group; `rows` is the number of rows of each group."""

    aggregate: Aggregate
    semantics: Semantics
    rows: Array
    states: Mapping[State, Columns]

    def column(self, state: State) -> Array:
        """The column of a state that has only one, or the first of a state that has more."""
        return self.states[state][""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """An aggregate function: the *states* that an aggregate needs, and how they become its result column."""

    name: str
    states: Callable[[Aggregate], tuple[State, ...]]
    finalize: Callable[[Combined], Array]


def keeps(*states: State) -> Callable[[Aggregate], tuple[State, ...]]:
    """The same states, whatever the aggregate's parameters."""
    return lambda _: states
