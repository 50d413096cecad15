"""The two halves of an aggregation that know no result: rows to states, and states to fewer states."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shared.errors import GroupKeyTooLong, GroupLimitExceeded
from shared.spec.query import Query
from worker_service.kernels.arrays import Array, Mask, arrow_type, is_string, one, plain, raw, text, valid
from worker_service.kernels.declaration import Columns, State
from worker_service.kernels.exact import sum_digits
from worker_service.kernels.grouping import Groups, group, key_column
from worker_service.kernels.table import Input, inputs

MAX_KEY_BYTES = 2600
"""Of all keys of a group together: what an index entry of Postgres holds, less room for its own bookkeeping."""
PENDING_ROWS = 1 << 18
FRAME_BYTES = 8 * 1024**2
"""Typed frames that wait to be grouped together."""


def partial(frame: pa.Table, query: Query) -> pa.Table:
    """The states of *frame*'s rows: one row a group with the keys `k<i>`, the group's `rows`, and `a<i>.<state>` columns.

    A dictionary's values must be distinct, as Arrow's readers make them; repeated ones would cost a second row, which `combine` mends.
    """
    keys = [key_column(frame[key.column]) for key in query.keys]
    if query.semantics == "pandas" and (kept := _whole_keys(keys)) is not None:
        return partial(frame.filter(pa.array(kept)), query)
    groups = group(keys, frame.num_rows)
    columns = _keys(keys, groups) | {"rows": pa.array(groups.counts)}
    _check_length([columns[f"k{i}"] for i in range(len(keys))])
    for source in inputs(query):
        values, members = _present(one(frame[source.column]), groups, query)
        for state in source.states:
            columns |= _named(source, state, state.partial(values, members))
    return pa.table(columns)


def combine(states: Sequence[pa.Table], query: Query) -> pa.Table:
    """The states of all groups of *states*, each group once; of nothing, those of an empty dataset.

    Associative and commutative up to the order of rows and the presence of columns that are zero everywhere. Raises GroupLimitExceeded.
    """
    table = pa.concat_tables(states or [_nothing(query)], promote_options="default")
    keys = [one(table[f"k{i}"]) for i in range(len(query.keys))]
    groups = group(keys, table.num_rows)
    if groups.size > query.max_groups:
        raise GroupLimitExceeded(f"there are more than {query.max_groups} groups; raise limits.max_groups or group by fewer columns")
    columns = _keys(keys, groups) | {"rows": pa.array(sum_digits(raw(one(table["rows"])), groups.codes, groups.size))}
    for source in inputs(query):
        for state in source.states:
            columns |= _named(source, state, state.combine(state_columns(table, source.prefix, state), groups))
    return pa.table(columns)


def rows_in(states: pa.Table) -> int:
    """How many rows went into *states*."""
    return int(raw(one(states["rows"])).sum())


def state_columns(table: pa.Table, prefix: str, state: State) -> Columns:
    """The columns of one state by suffix, with the identity where a table had none."""
    name = f"{prefix}.{state.name}"
    found = {column[len(name) :].removeprefix("_"): one(table[column]) for column in table.column_names if column.split("_")[0] == name}
    return {suffix: column if state.identity is None else _filled(column, state.identity) for suffix, column in found.items()}


def _filled(column: Array, identity: int) -> Array:
    return column.fill_null(identity) if column.null_count else column


def _named(source: Input, state: State, columns: Columns) -> dict[str, Array]:
    return {f"{source.prefix}.{state.name}{'_' if suffix else ''}{suffix}": column for suffix, column in columns.items()}


def _keys(keys: Sequence[Array], groups: Groups) -> dict[str, Array]:
    places = pa.array(groups.members) if keys else None
    return {f"k{i}": plain(key.take(places)) for i, key in enumerate(keys)}


def _whole_keys(keys: Sequence[Array]) -> Mask | None:
    """Where no key is null or NaN; None when that is everywhere."""
    masks = [
        mask for key in keys for mask in (valid(key), ~np.isnan(raw(key)) if pa.types.is_floating(key.type) else None) if mask is not None
    ]
    kept = np.logical_and.reduce(masks) if masks else None
    return None if kept is None or kept.all() else kept


def _present(column: Array, groups: Groups, query: Query) -> tuple[Array, Groups]:
    """The values that are not missing, NaN among them where the semantics are pandas', and their groups."""
    present = valid(column)
    if query.semantics == "pandas" and pa.types.is_floating(column.type) and (nan := np.isnan(raw(column))).any():
        present = ~nan if present is None else present & ~nan
    return (column, groups) if present is None else (column.filter(pa.array(present)), groups.only(present))


def _check_length(keys: Sequence[Array]) -> None:
    lengths = [np.diff(text(key)[0]) if is_string(key) else np.full(len(key), 8) for key in keys]
    if lengths and (longest := int(np.sum(lengths, axis=0).max(initial=0))) > MAX_KEY_BYTES:
        raise GroupKeyTooLong(f"the keys of a group take {longest} bytes together; at most {MAX_KEY_BYTES} can be indexed")


def _nothing(query: Query) -> pa.Table:
    types = {key.column: key.type for key in query.keys} | {a.column: a.type for a in query.aggregates if a.column is not None and a.type}
    frame = {name: pa.array([], arrow_type(kind)) for name, kind in types.items()}
    return partial(pa.table(frame or {"": pa.array([], pa.bool_())}), query)


class Fold:
    """The running partial of a stream of frames, in bounded memory.

    `futile` says that the last frame had about as many groups as rows: holding its states costs memory and saves nothing.
    While groups are sparse, with few rows each, frames wait to be grouped together, since the states of small frames would repeat most keys.
    The states of each group are held about three times at most.
    """

    def __init__(self, query: Query) -> None:
        self.rows_aggregated = 0
        self.rows_dropped_null_key = 0
        self._query = query
        self._frames: list[pa.Table] = []
        self._sparse = self.futile = False
        self._pending: list[pa.Table] = []
        self._limit = PENDING_ROWS

    def add(self, frame: pa.Table) -> None:
        self._frames.append(frame)
        if not self._sparse or sum(waiting.nbytes for waiting in self._frames) > FRAME_BYTES:
            self._group()

    def _group(self) -> None:
        if not self._frames:
            return
        frame = _joined(self._frames)
        self._frames = []
        states = partial(frame, self._query)
        rows = rows_in(states)
        self.rows_aggregated += rows
        self.rows_dropped_null_key += frame.num_rows - rows
        self._pending.append(states)
        self._sparse = states.num_rows > frame.num_rows // 8
        self.futile = states.num_rows > frame.num_rows * 0.8
        if self.groups > self._limit:
            combined = self.finish()
            self._limit = max(3 * combined.num_rows, PENDING_ROWS)

    @property
    def groups(self) -> int:
        """At least as many as there are: rows of states held."""
        return sum(table.num_rows for table in self._pending)

    def finish(self) -> pa.Table:
        """The combined states so far; more frames may follow."""
        self._group()
        self._pending = [combine(self._pending, self._query)]
        return self._pending[0]

    def flush(self) -> pa.Table:
        """The combined states so far, which are then forgotten; more frames may follow."""
        states = self.finish()
        self._pending, self._limit = [], PENDING_ROWS
        return states


def _joined(frames: list[pa.Table]) -> pa.Table:
    """One frame with one dictionary a column; a column that is a dictionary in some frames only becomes plain text."""
    if len(frames) == 1:
        return frames[0]
    mixed = [name for name in frames[0].column_names if len({frame.schema.field(name).type for frame in frames}) > 1]
    for name in mixed:
        at = frames[0].schema.get_field_index(name)
        frames = [frame.set_column(at, name, pa.chunked_array([plain(one(frame[name]))])) for frame in frames]
    return pa.concat_tables(frames).unify_dictionaries().combine_chunks()
