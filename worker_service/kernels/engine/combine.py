"""The second step of an aggregation: the states of many frames or chunks to fewer, each group once."""

import sys
from collections.abc import Sequence

import pyarrow as pa

from shared.errors import GroupLimitExceeded, StateTooLarge
from shared.spec.query import Query
from worker_service.arrow import as_array, numbers_of
from worker_service.kernels.aggregates.table import shared_states
from worker_service.kernels.engine.partial import no_states
from worker_service.kernels.engine.states import (
    key_columns,
    keys_of,
    named_columns,
    size_of,
    state_columns,
)
from worker_service.kernels.exact.summation import sums_by_group
from worker_service.kernels.grouping import group

PENDING_GROUPS = 1 << 18
GROUP_BYTES = 256
"""Taken at least by a group, or by a value that is kept of it, in states that are held as tables; a guess."""


def combine(states: Sequence[pa.Table], query: Query) -> pa.Table:
    """The states of all groups of *states*, each group once; of no table, those of an empty dataset.

    Associative and commutative, up to the order of rows and the presence of columns that are zero everywhere.
    Raises GroupLimitExceeded, and StateTooLarge where the values that growing states keep take more than the
    query's max_state_bytes.
    """
    table = pa.concat_tables(states or [no_states(query)], promote_options="default")
    keys = keys_of(table, query)
    groups = group(keys, table.num_rows)
    if groups.size > query.max_groups:
        raise GroupLimitExceeded(
            f"there are more than {query.max_groups} groups; "
            "raise limits.max_groups or group by fewer columns"
        )
    rows = sums_by_group(numbers_of(as_array(table["rows"])), groups.codes, groups.size)
    columns = key_columns(keys, groups) | {"rows": pa.array(rows)}
    for shared in shared_states(query).values():
        for state in shared.states:
            combined = state.combine(state_columns(table, shared, state), groups)
            columns |= named_columns(shared, state, combined)
    result = pa.table(columns)
    check_size(result, query.max_state_bytes)
    return result


def check_size(states: pa.Table, most: int) -> None:
    """Raises StateTooLarge, see `combine`."""
    kept: int = sum(column.nbytes for column in states.columns if pa.types.is_list(column.type))
    if kept > most:
        raise StateTooLarge(
            f"the distinct values of some groups take {kept:,} bytes, and {most:,} may be held at once: "
            "the lesser of limits.max_state_bytes and a thirty-second of GRISTMILL_SLOT_MEMORY_BYTES. "
            "Raise it, group by more columns, or round the values of median, quantile, mode and nunique"
        )


class PendingStates:
    """States that wait to be combined, so that few combinations do the work of many.

    They are combined once there are more than *groups* groups, or more than *nbytes*. It takes *factor* times
    as many as after the last combination, if that is more. A group counts once for each of its states.
    `size` is at least the number of groups, and of the values that are kept of them.
    """

    def __init__(
        self,
        query: Query,
        groups: int = PENDING_GROUPS,
        factor: float = 3.0,
        nbytes: int = sys.maxsize,
    ) -> None:
        self._query, self._least, self._factor = query, (groups, nbytes), factor
        self._most = self._least
        self._states: list[pa.Table] = []
        self.size = self.nbytes = 0

    def add(self, states: pa.Table) -> None:
        self._states.append(states)
        self.size += size_of(states)
        self.nbytes += states.nbytes
        most_groups, most_bytes = self._most
        if self.size > most_groups or self.nbytes > most_bytes:
            self.combined()
            most = (int(self._factor * self.size), int(self._factor * self.nbytes))
            self._most = max(self._least[0], most[0]), max(self._least[1], most[1])

    @property
    def taken(self) -> int:
        """About the bytes of memory that the states take."""
        return max(self.size * GROUP_BYTES, self.nbytes)

    def combined(self) -> pa.Table:
        """The states of all groups so far; more may follow."""
        states = combine(self._states, self._query)
        self._states, self.size, self.nbytes = [states], size_of(states), states.nbytes
        return states

    def clear(self) -> None:
        self._states, self._most, self.size, self.nbytes = [], self._least, 0, 0
