"""The layout of a table of states, which is all that passes between the steps of an aggregation.

One row a group. The keys are `k<i>`, in the order of the query. `rows` is the number of rows of the group.
The columns of each state are named `<prefix>.<state>` or `<prefix>.<state>_<suffix>`, see `SharedStates`. A
column that is zero in every group may be absent.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shared.spec.query import Query
from worker_service.arrow import Array, as_array, numbers_of, without_dictionary
from worker_service.kernels.aggregates.declaration import Columns, State
from worker_service.kernels.aggregates.table import SharedStates
from worker_service.kernels.grouping import Groups


def keys_of(states: pa.Table, query: Query) -> list[Array]:
    return [as_array(states[f"k{i}"]) for i in range(len(query.keys))]


def key_columns(keys: Sequence[Array], groups: Groups) -> dict[str, Array]:
    """Of each group the keys of one of its rows."""
    members = pa.array(groups.members) if keys else None
    return {f"k{i}": without_dictionary(key.take(members)) for i, key in enumerate(keys)}


def named_columns(shared: SharedStates, state: State, columns: Columns) -> dict[str, Array]:
    name = f"{shared.prefix}.{state.name}"
    return {f"{name}_{suffix}" if suffix else name: column for suffix, column in columns.items()}


def state_columns(table: pa.Table, shared: SharedStates, state: State) -> Columns:
    """The columns of one state by suffix, with its identity where a part of the table had no such column.

    Those of lists are chunked arrays: they may be large, and to join them would copy them.
    """
    name = f"{shared.prefix}.{state.name}"
    found = {
        column[len(name) :].removeprefix("_"): _joined(table[column])
        for column in table.column_names
        if column.split("_")[0] == name
    }
    if state.identity is None:
        return found
    return {
        suffix: column.fill_null(state.identity) if column.null_count else column
        for suffix, column in found.items()
    }


def _joined(column: "pa.ChunkedArray[Any]") -> Any:
    return column if pa.types.is_list(column.type) else as_array(column)


def rows_in(states: pa.Table) -> int:
    """How many rows of the dataset went into *states*."""
    return int(numbers_of(as_array(states["rows"])).sum())


def size_of(states: pa.Table) -> int:
    """The number of groups, or of the values that a growing state keeps of them where these are more."""
    kept = (len(as_array(column).flatten()) for column in states.columns if pa.types.is_list(column.type))
    return max(int(states.num_rows), *kept, 0)
