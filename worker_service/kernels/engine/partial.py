"""The first step of an aggregation: rows to states."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from shared.errors import GroupKeyTooLong
from shared.spec.query import Query
from shared.spec.types import BOOL
from worker_service.arrow import (
    Array,
    Ints,
    Mask,
    arrow_type,
    as_array,
    canonical,
    from_mask,
    from_numbers,
    is_string,
    numbers_of,
    string_bytes,
    true,
    validity,
)
from worker_service.kernels.aggregates.declaration import Rows, State
from worker_service.kernels.aggregates.table import SharedStates, shared_states
from worker_service.kernels.engine.states import key_columns, named_columns
from worker_service.kernels.grouping import Groups, group

MAX_KEY_BYTES = 2600
"""Of all keys of a group together: the size of an index entry in Postgres, less room for its header."""


def partial(frame: pa.Table, query: Query, first_ordinal: int = 0) -> pa.Table:
    """The states of *frame*'s rows, laid out as in `engine.states`.

    *first_ordinal* is the `row_ordinal` of the frame's first row; those of the others follow. The values of
    a dictionary must be distinct, as Arrow's readers make them. Repeated ones would give a group two rows,
    which `combine` makes one. Raises GroupKeyTooLong.
    """
    frame, keys, indices = keyed(frame, query)
    groups = group(keys, frame.num_rows)
    columns = key_columns(keys, groups)
    check_length([*columns.values()])
    columns["rows"] = pa.array(groups.counts)
    for shared, state, rows in rows_of_states(frame, query, groups, indices, first_ordinal):
        columns |= named_columns(shared, state, state.partial(rows))
    return pa.table(columns)


def keyed(frame: pa.Table, query: Query) -> tuple[pa.Table, list[Array], Ints | None]:
    """The rows that belong to a group, their keys, and their positions in *frame* (None for all its rows)."""
    keys = [canonical(as_array(frame[key.column])) for key in query.keys]
    if query.semantics != "pandas" or (kept := _whole_keys(keys)) is None:
        return frame, keys, None
    chosen = from_mask(kept)
    return frame.filter(chosen), [key.filter(chosen) for key in keys], np.flatnonzero(kept)


def rows_of_states(
    frame: pa.Table, query: Query, groups: Groups, indices: Ints | None, first_ordinal: int
) -> Iterator[tuple[SharedStates, State, Rows]]:
    """Each state of *query* with the rows that count for it."""
    for shared in shared_states(query).values():
        values = tuple(_values(as_array(frame[name]), query) for name in shared.columns)
        rows, present = Rows(values, groups, indices, first_ordinal), dict[tuple[int, ...], Rows]()
        if shared.where is not None:
            rows = _only(rows, true(as_array(frame[shared.where])))
        for state in shared.states:
            needed = tuple(range(len(values))) if state.needs is None else state.needs[query.semantics]
            if needed not in present:
                present[needed] = _present(rows, needed)
            yield shared, state, present[needed]


def no_states(query: Query) -> pa.Table:
    """The states of an empty dataset: of no group, or of the one group of a query without keys."""
    types = {
        **{key.column: key.type for key in query.keys},
        **{given.column: given.type for a in query.aggregates for given in a.inputs},
        **{a.where: BOOL for a in query.aggregates if a.where},
    }
    frame = {name: pa.array([], arrow_type(kind)) for name, kind in types.items()}
    return partial(pa.table(frame or {"": pa.array([], pa.bool_())}), query)


def _whole_keys(keys: Sequence[Array]) -> Mask | None:
    """Where no key is null or NaN; None when that is everywhere."""
    masks = [
        mask
        for key in keys
        for mask in (validity(key), ~np.isnan(numbers_of(key)) if pa.types.is_floating(key.type) else None)
        if mask is not None
    ]
    kept = np.logical_and.reduce(masks) if masks else None
    return None if kept is None or kept.all() else kept


def _values(column: Array, query: Query) -> Array:
    """The column; with the semantics of pandas NaN becomes null."""
    if query.semantics == "pandas" and pa.types.is_floating(column.type):
        nan = np.isnan(numbers_of(column))
        if nan.any():
            present = validity(column)
            return from_numbers(column.type, numbers_of(column), ~nan if present is None else present & ~nan)
    return column


def _present(rows: Rows, needed: tuple[int, ...]) -> Rows:
    """The rows in which every needed value is present."""
    masks = [mask for mask in (validity(rows.values[at]) for at in needed) if mask is not None]
    if not masks:
        return rows
    return _only(rows, np.logical_and.reduce(masks))


def _only(rows: Rows, kept: Mask) -> Rows:
    indices: Ints = np.flatnonzero(kept) if rows.indices is None else rows.indices[kept]
    return Rows(
        tuple(values.filter(from_mask(kept)) for values in rows.values),
        rows.groups.only(kept),
        indices,
        rows.first_ordinal,
    )


def check_length(keys: Sequence[Array]) -> None:
    lengths = [np.diff(string_bytes(key)[0]) if is_string(key) else np.full(len(key), 8) for key in keys]
    if lengths and (longest := int(np.sum(lengths, axis=0).max(initial=0))) > MAX_KEY_BYTES:
        raise GroupKeyTooLong(
            f"the keys of a group take {longest} bytes together; at most {MAX_KEY_BYTES} can be indexed"
        )
