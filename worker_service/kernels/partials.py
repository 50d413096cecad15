"""The two halves of an aggregation that know no result: rows to states, and states to fewer states."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shared.errors import GroupKeyTooLong, GroupLimitExceeded, LimitExceeded, StateTooLarge
from shared.spec.query import Query
from worker_service.kernels.arrays import (
    Array,
    Ints,
    Mask,
    arrow_type,
    build,
    canonical,
    is_string,
    one,
    plain,
    raw,
    text,
    valid,
)
from worker_service.kernels.declaration import MAX_CHUNKS, Columns, Rows, State, place
from worker_service.kernels.exact import sum_digits
from worker_service.kernels.grouping import Groups, group
from worker_service.kernels.table import Source, sources

MAX_KEY_BYTES = 2600
"""Of all keys of a group together: what an index entry of Postgres holds, less room for its own bookkeeping."""
PENDING_ROWS = 1 << 18
FRAME_BYTES = 8 * 1024**2
"""Typed frames that wait to be grouped together."""


def partial(frame: pa.Table, query: Query, first: int = 0) -> pa.Table:
    """The states of *frame*'s rows: one row a group with the keys `k<i>`, the group's `rows`, and `a<i>.<state>` columns.

    *first* is the `place` in the dataset of the frame's first row; the others follow it. A dictionary's
    values must be distinct, as Arrow's readers make them; repeated ones would cost a second row, which
    `combine` mends.
    """
    keys, numbers = [canonical(one(frame[key.column])) for key in query.keys], None
    if query.semantics == "pandas" and (kept := _whole_keys(keys)) is not None:
        keys, frame, numbers = (
            [key.filter(pa.array(kept)) for key in keys],
            frame.filter(pa.array(kept)),
            np.flatnonzero(kept),
        )
    groups = group(keys, frame.num_rows)
    columns = _keys(keys, groups) | {"rows": pa.array(groups.counts)}
    _check_length([columns[f"k{i}"] for i in range(len(keys))])
    for source in sources(query).values():
        whole = Rows(
            tuple(_values(one(frame[name]), query) for name in source.columns), groups, numbers, first
        )
        present: dict[tuple[int, ...], Rows] = {}
        for state in source.states:
            needed = (
                tuple(range(len(source.columns))) if state.needs is None else state.needs[query.semantics]
            )
            if needed not in present:
                present[needed] = _present(whole, needed)
            columns |= _named(source, state, state.partial(present[needed]))
    return pa.table(columns)


def combine(states: Sequence[pa.Table], query: Query) -> pa.Table:
    """The states of all groups of *states*, each group once; of nothing, those of an empty dataset.

    Associative and commutative up to the order of rows and the presence of columns that are zero everywhere.
    Raises GroupLimitExceeded, and StateTooLarge where the values that growing states keep take more than the
    query's max_state_bytes.
    """
    table = pa.concat_tables(states or [_nothing(query)], promote_options="default")
    keys = [one(table[f"k{i}"]) for i in range(len(query.keys))]
    groups = group(keys, table.num_rows)
    if groups.size > query.max_groups:
        raise GroupLimitExceeded(
            f"there are more than {query.max_groups} groups; raise limits.max_groups or group by fewer columns"
        )
    columns = _keys(keys, groups) | {
        "rows": pa.array(sum_digits(raw(one(table["rows"])), groups.codes, groups.size))
    }
    for source in sources(query).values():
        for state in source.states:
            columns |= _named(
                source, state, state.combine(state_columns(table, source.prefix, state), groups)
            )
    combined = pa.table(columns)
    _check_size(combined, query.max_state_bytes)
    return combined


def rows_in(states: pa.Table) -> int:
    """How many rows went into *states*."""
    return int(raw(one(states["rows"])).sum())


def state_columns(table: pa.Table, prefix: str, state: State) -> Columns:
    """The columns of one state by suffix, with the identity where a table had none."""
    name = f"{prefix}.{state.name}"
    found = {
        column[len(name) :].removeprefix("_"): one(table[column])
        for column in table.column_names
        if column.split("_")[0] == name
    }
    return {
        suffix: column if state.identity is None else _filled(column, state.identity)
        for suffix, column in found.items()
    }


def _filled(column: Array, identity: int) -> Array:
    return column.fill_null(identity) if column.null_count else column


def _named(source: Source, state: State, columns: Columns) -> dict[str, Array]:
    return {
        f"{source.prefix}.{state.name}{'_' if suffix else ''}{suffix}": column
        for suffix, column in columns.items()
    }


def _keys(keys: Sequence[Array], groups: Groups) -> dict[str, Array]:
    places = pa.array(groups.members) if keys else None
    return {f"k{i}": plain(key.take(places)) for i, key in enumerate(keys)}


def _whole_keys(keys: Sequence[Array]) -> Mask | None:
    """Where no key is null or NaN; None when that is everywhere."""
    masks = [
        mask
        for key in keys
        for mask in (valid(key), ~np.isnan(raw(key)) if pa.types.is_floating(key.type) else None)
        if mask is not None
    ]
    kept = np.logical_and.reduce(masks) if masks else None
    return None if kept is None or kept.all() else kept


def _values(column: Array, query: Query) -> Array:
    """Where the semantics are pandas', NaN is missing."""
    if (
        query.semantics == "pandas"
        and pa.types.is_floating(column.type)
        and (nan := np.isnan(raw(column))).any()
    ):
        present = valid(column)
        return build(column.type, raw(column), ~nan if present is None else present & ~nan)
    return column


def _present(rows: Rows, needed: tuple[int, ...]) -> Rows:
    """The rows in which every needed value is present."""
    masks = [mask for mask in (valid(rows.values[at]) for at in needed) if mask is not None]
    if not masks:
        return rows
    present = np.logical_and.reduce(masks)
    numbers: Ints = np.flatnonzero(present) if rows.numbers is None else rows.numbers[present]
    return Rows(
        tuple(values.filter(pa.array(present)) for values in rows.values),
        rows.groups.only(present),
        numbers,
        rows.first,
    )


def _check_length(keys: Sequence[Array]) -> None:
    lengths = [np.diff(text(key)[0]) if is_string(key) else np.full(len(key), 8) for key in keys]
    if lengths and (longest := int(np.sum(lengths, axis=0).max(initial=0))) > MAX_KEY_BYTES:
        raise GroupKeyTooLong(
            f"the keys of a group take {longest} bytes together; at most {MAX_KEY_BYTES} can be indexed"
        )


def _check_size(states: pa.Table, most: int) -> None:
    kept: int = sum(column.nbytes for column in states.columns if pa.types.is_list(column.type))
    if kept > most:
        raise StateTooLarge(
            f"the distinct values of some groups take {kept:,} bytes, and {most:,} may be held at once: the lesser of limits.max_state_bytes and "
            "a sixteenth of GRISTMILL_SLOT_MEMORY_BYTES. Raise it, group by more columns, or round the values of median, quantile, mode and nunique"
        )


def _nothing(query: Query) -> pa.Table:
    types = {key.column: key.type for key in query.keys} | {
        given.column: given.type for a in query.aggregates for given in a.inputs
    }
    frame = {name: pa.array([], arrow_type(kind)) for name, kind in types.items()}
    return partial(pa.table(frame or {"": pa.array([], pa.bool_())}), query)


def _size(states: pa.Table) -> int:
    """Groups, or the values that a growing state keeps of them where these are more."""
    kept = (len(one(column).flatten()) for column in states.columns if pa.types.is_list(column.type))
    return max(int(states.num_rows), *kept, 0)


class Pending:
    """States that wait to be combined: until those of each group may be held *factor* times, and there are more than *limit*.

    `size` is at least the number of groups, and of the values that are kept of them.
    """

    def __init__(self, query: Query, limit: int = PENDING_ROWS, factor: float = 3.0) -> None:
        self._query, self._least, self._factor = query, limit, factor
        self._limit = limit
        self._states: list[pa.Table] = []
        self.size = 0

    def add(self, states: pa.Table) -> None:
        self._states.append(states)
        self.size += _size(states)
        if self.size > self._limit:
            self.combined()
            self._limit = max(int(self._factor * self.size), self._least)

    def combined(self) -> pa.Table:
        """The states of all groups so far; more may follow."""
        self._states = [combine(self._states, self._query)]
        self.size = _size(self._states[0])
        return self._states[0]

    def clear(self) -> None:
        self._states, self._limit, self.size = [], self._least, 0


class Fold:
    """The running partial of a stream of frames, those of one chunk in file order, in bounded memory.

    `futile` says that the last frame had about as many groups as rows: holding its states costs memory and
    saves nothing. While groups are sparse, with few rows each, frames wait to be grouped together, since the
    states of small frames would repeat most keys.
    """

    def __init__(self, query: Query, chunk: int = 0) -> None:
        if chunk >= MAX_CHUNKS:
            raise LimitExceeded(f"a dataset has at most {MAX_CHUNKS:,} chunks; raise options.chunk_bytes")
        self._next = place(chunk, 0)
        self.rows_dropped_null_key = 0
        self._query = query
        self._frames: list[pa.Table] = []
        self._sparse = self.futile = False
        self._pending = Pending(query)

    def add(self, frame: pa.Table) -> None:
        self._frames.append(frame)
        if not self._sparse or sum(waiting.nbytes for waiting in self._frames) > FRAME_BYTES:
            self._group()

    def _group(self) -> None:
        if not self._frames:
            return
        frame = _joined(self._frames)
        self._frames = []
        states = partial(frame, self._query, self._next)
        self._next += frame.num_rows
        self.rows_dropped_null_key += frame.num_rows - rows_in(states)
        size = _size(states)
        self._sparse = size > frame.num_rows // 8
        self.futile = size > frame.num_rows * 0.8
        self._pending.add(states)

    @property
    def groups(self) -> int:
        """At least as many as there are, and as the values that are kept of them."""
        return self._pending.size

    def finish(self) -> pa.Table:
        """The combined states so far; more frames may follow."""
        self._group()
        return self._pending.combined()

    def flush(self) -> pa.Table:
        """The combined states so far, which are then forgotten; more frames may follow."""
        states = self.finish()
        self._pending.clear()
        return states


def _joined(frames: list[pa.Table]) -> pa.Table:
    """One frame with one dictionary a column.

    A column that is a dictionary in some frames only becomes plain text.
    """
    if len(frames) == 1:
        return frames[0]
    mixed = [
        name
        for name in frames[0].column_names
        if len({frame.schema.field(name).type for frame in frames}) > 1
    ]
    for name in mixed:
        at = frames[0].schema.get_field_index(name)
        frames = [frame.set_column(at, name, pa.chunked_array([plain(one(frame[name]))])) for frame in frames]
    return pa.concat_tables(frames).unify_dictionaries().combine_chunks()
