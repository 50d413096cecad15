"""The states of a chunk's groups, held in place: rows go straight into them, with the native library.

Every group keeps the code that it got with its first row. Frames change the states that have a running form.
The others are made of each frame as `partial` makes them, and combined now and then. Their only key is the
code of the group.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from shared.spec.query import Aggregate, Key, Query
from shared.spec.types import INT64
from worker_service.arrow import Array, Ints, arrow_type, as_array, numbers_of, without_dictionary
from worker_service.kernels.aggregates.declaration import Columns, Running, State
from worker_service.kernels.aggregates.running import Counts
from worker_service.kernels.aggregates.sums import COUNT
from worker_service.kernels.aggregates.table import KERNELS, Source, shared_states
from worker_service.kernels.engine.combine import PendingStates, check_size, combine
from worker_service.kernels.engine.frames import FUTILE
from worker_service.kernels.engine.partial import check_length, keyed, no_states, rows_of_states
from worker_service.kernels.engine.states import named_columns, state_columns
from worker_service.kernels.group_tables import GroupTable
from worker_service.kernels.group_words import GroupWords
from worker_service.kernels.grouping import Groups, group
from worker_service.native import Library

LEAST_FUTILE = 1 << 18
"""Groups before a frame. Most rows of the first frames begin a group, however many rows follow."""
_CODE = Key(column="", name="", type=INT64)


class ResidentStates:
    """The states of the frames so far, with the interface of `FrameStates`."""

    def __init__(self, query: Query, native: Library) -> None:
        self._query, self._native = query, native
        words = GroupWords(native)
        runs = [_running_forms(aggregate, words) is not None for aggregate in query.aggregates]
        direct, others = (
            tuple(a for a, its in zip(query.aggregates, runs, strict=True) if its is wanted)
            for wanted in (True, False)
        )
        self._direct = replace(query, aggregates=direct)
        self._others = replace(query, keys=(_CODE,), aggregates=others)
        self.dropped = 0
        self.mostly_new = self.futile = False
        self._clear()

    def _clear(self) -> None:
        query = self._query
        self._size = 0 if query.keys else 1
        self._table: GroupTable | None = None
        self._keys: list[list[Array]] = [[] for _ in query.keys]
        self._words = GroupWords(self._native)
        self._rows = Counts(self._words)
        self._running: dict[tuple[Source, State], Running] = {}
        for aggregate in self._direct.aggregates:
            self._running = (_running_forms(aggregate, self._words) or {}) | self._running
        self._whole = {key for key in self._running if key[1] is COUNT}
        """The counts that are those of all rows so far: they are not kept."""
        self._pending = PendingStates(self._others)

    @property
    def resumable(self) -> bool:
        return not self._others.aggregates

    @property
    def groups(self) -> int:
        return max(self._size, self._pending.size)

    @property
    def nbytes(self) -> int:
        table = self._table.nbytes if self._table else 0
        keys = sum(column.nbytes for columns in self._keys for column in columns)
        running = sum(running.nbytes for running in self._running.values())
        return int(table + keys + self._words.nbytes + running + self._pending.taken)

    def add(self, frame: pa.Table, first_ordinal: int) -> None:
        whole, size, kept, before = frame.num_rows, self._size, self._pending.size, self.groups
        frame, keys, indices = keyed(frame, self._query)
        rows = frame.num_rows
        self.dropped += whole - rows
        if not rows:
            return
        codes = self.codes(keys, rows)
        self._add(frame, codes, indices, first_ordinal)
        new = max(self._size - size, self._pending.size - kept)
        self.mostly_new = new > FUTILE * rows
        self.futile = self.mostly_new and before >= LEAST_FUTILE

    def _add(self, frame: pa.Table, codes: Ints, indices: Ints | None, first_ordinal: int) -> None:
        groups, steps = Groups(codes, self._size), self._rows.of_codes(codes)
        for shared, state, rows in rows_of_states(frame, self._direct, groups, indices, first_ordinal):
            key = (shared.columns, shared.where), state
            if key in self._whole:
                if rows.groups is groups:
                    continue
                self._whole.remove(key)
                self._running[key] = self._rows.copied()
            steps += self._running[key].add(rows)
        self._words.add(steps, self._size)
        if self._others.aggregates:
            groups = group([pa.array(codes)], len(codes))
            columns = {"k0": pa.array(codes[groups.members]), "rows": pa.array(groups.counts)}
            for shared, state, rows in rows_of_states(frame, self._others, groups, indices, first_ordinal):
                columns |= named_columns(shared, state, state.partial(rows))
            self._pending.add(pa.table(columns))

    def codes(self, keys: list[Array], rows: int) -> Ints:
        """The groups of the rows of a frame; raises GroupKeyTooLong."""
        if not keys:
            return np.zeros(rows, np.int64)
        self._table = self._table or GroupTable(self._native, keys)
        codes, firsts = self._table.add(keys)
        if len(firsts):
            rows_of_new = pa.array(firsts)
            new = [without_dictionary(key.take(rows_of_new)) for key in keys]
            check_length(new)
            for known, more in zip(self._keys, new, strict=True):
                known.append(more)
        self._size = len(self._table)
        return codes

    def combined(self) -> pa.Table:
        """Raises GroupLimitExceeded and StateTooLarge."""
        query, rows = self._query, self._rows.of(self._size)
        if not rows.any():
            return combine([no_states(query)], query)
        for parts in self._keys:
            parts[:] = [pa.concat_arrays(parts)]
        counted = pa.array(rows)
        columns = {f"k{i}": column for i, [column] in enumerate(self._keys)} | {"rows": counted}
        if self._size > query.max_groups:
            combine([pa.table(columns)], replace(query, aggregates=()))
        others = self._other_states()
        for source, shared in shared_states(query).items():
            for state in shared.states:
                running = self._running.get((source, state))
                found: Columns = {"": counted}
                if (source, state) not in self._whole:
                    found = running.columns(self._size) if running else others[source, state]
                columns |= named_columns(shared, state, found)
        states = pa.table(columns)
        check_size(states, query.max_state_bytes)
        return states

    def taken(self) -> pa.Table:
        """The combined states. All are forgotten, the table of keys before: both take much memory."""
        self._table = None
        try:
            return self.combined()
        finally:
            self._clear()

    def _other_states(self) -> dict[tuple[Source, State], Columns]:
        if not self._others.aggregates:
            return {}
        table = self._pending.combined()
        table = table.take(pa.array(np.argsort(numbers_of(as_array(table["k0"])))))
        return {
            (source, state): state_columns(table, shared, state)
            for source, shared in shared_states(self._others).items()
            for state in shared.states
        }


def _running_forms(aggregate: Aggregate, words: GroupWords) -> dict[tuple[Source, State], Running] | None:
    """Of all states of the aggregate, none of them with a row; None where one has no running form."""
    types, found = tuple(arrow_type(given.type) for given in aggregate.inputs), {}
    for state in KERNELS[aggregate.fn].states(aggregate) if aggregate.inputs else ():
        running = state.running(words, types) if state.running else None
        if running is None:
            return None
        found[(aggregate.columns, aggregate.where), state] = running
    return found
