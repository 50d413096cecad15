"""What an aggregate is: data. A kernel names the states it needs and one function that ends them; states are shared between kernels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from shared.spec.query import Aggregate, Semantics
from worker_service.kernels.arrays import Array
from worker_service.kernels.grouping import Groups

Columns: TypeAlias = Mapping[str, Array]
"""The columns of one state, one row a group, by suffix: `""`, or `-2`, `0`, `nan` of a sum's parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A building block: what is kept of one column's non-null values, so that any two of them can be combined.

    The columns are `<name>` or `<name>_<suffix>`. *dtype* is theirs ("own": the input's; counts, of NaN say, are int64 everywhere). *identity*
    is the value of a group without rows, and of a column that a table does not have: 0, or None for null. *combine* is associative and
    commutative, to the bit.
    """

    name: str
    dtype: str
    identity: int | None
    partial: Callable[[Array, Groups], Columns]
    combine: Callable[[Columns, Groups], Columns]


@dataclass(frozen=True, slots=True)
class Ending:
    """What `finalize` may look at: the aggregate, the semantics, the rows of each group, and the states' columns by state name."""

    aggregate: Aggregate
    semantics: Semantics
    rows: Array
    states: Mapping[str, Columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One aggregate function. *finalize* gives the result column, one row a group."""

    name: str
    states: tuple[State, ...]
    finalize: Callable[[Ending], Array]
