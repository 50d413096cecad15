"""What an aggregate is: data.

A kernel names the states it needs and one function that ends them; states are shared between kernels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from shared.spec.query import Aggregate, Semantics
from worker_service.kernels.arrays import Array, Ints
from worker_service.kernels.grouping import Groups

Columns: TypeAlias = Mapping[str, Array]
"""The columns of one state, one row a group, by suffix: `""`, or `-2`, `0`, `nan` of a sum's parts."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a frame: their values, an array for each input of the state, and their groups.

    `numbers` are the rows' places among the frame's; `places` order the rows of the whole dataset by (file,
    offset), see `place`.
    """

    values: tuple[Array, ...]
    groups: Groups
    numbers: Ints | None
    first: int

    @cached_property
    def places(self) -> Ints:
        numbers = np.arange(len(self.groups.codes)) if self.numbers is None else self.numbers
        return numbers + self.first


_ROW_BITS = 40
MAX_CHUNKS = 1 << (63 - _ROW_BITS)


def place(chunk: int, row: int) -> int:
    """A row's place in the dataset: chunks are numbered in the order of files and offsets, rows within their chunk."""
    return chunk << _ROW_BITS | row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """A building block: what is kept of some inputs' values in each group, so that any two of them can be combined.

    *columns* maps the suffix of each column, which is named `<name>` or `<name>_<suffix>`, to its dtype:
    "own" is that of the first input, "by" that of the second; `<j>` stands for any number of grid indexes.
    *identity* is the value of a group without rows, and of a column that a table does not have: 0, or None
    for null. *needs* are the inputs without which a row is passed over, by their positions; None is all of
    them. *combine* is associative and commutative, to the bit. A *growing* state takes more room the more
    values differ.
    """

    name: str
    columns: Mapping[str, str]
    identity: int | None
    partial: Callable[[Rows], Columns]
    combine: Callable[[Columns, Groups], Columns]
    needs: Mapping[Semantics, tuple[int, ...]] | None = None
    growing: bool = False


def keeps(*states: State) -> Callable[[Aggregate], tuple[State, ...]]:
    """The same states for every aggregate of a function."""
    return lambda _: states


@dataclass(frozen=True, slots=True)
class Ending:
    """What `finalize` may look at: the aggregate, the semantics, the rows of each group, and the states' columns by state name."""

    aggregate: Aggregate
    semantics: Semantics
    rows: Array
    states: Mapping[str, Columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One aggregate function: the *states* that an aggregate needs, and *finalize*, which gives the result column, one row a group."""

    name: str
    states: Callable[[Aggregate], tuple[State, ...]]
    finalize: Callable[[Ending], Array]
