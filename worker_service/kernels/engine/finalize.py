"""The last step of an aggregation: combined states to result rows, in the one order that every run gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.core.fan_in import BUCKETS
from shared.errors import ValueOutOfRange
from shared.spec.query import Query
from worker_service.arrow import Array, Ints, as_array, is_string, string_bytes, without_dictionary
from worker_service.kernels.aggregates.declaration import Combined
from worker_service.kernels.aggregates.table import KERNELS, shared_states, source_of
from worker_service.kernels.engine.codec import bucket_order
from worker_service.kernels.engine.compute import computed
from worker_service.kernels.engine.digest import bucket_digests
from worker_service.kernels.engine.states import keys_of, state_columns
from worker_service.kernels.engine.take import take_rows
from worker_service.kernels.expressions import ParseText
from worker_service.kernels.hashing import buckets
from worker_service.native import library
from worker_service.native.columns import native_columns

_NUMBER_BITS = 40
_MAX_KEYS = 64
"""Of `gm_order_rows`."""


@dataclass(frozen=True, slots=True)
class Finalized:
    """The result's columns, one row a group: keys, aggregates, computed ones.

    Rows are ordered by bucket, then by keys, ascending: strings by their UTF-8 bytes, NaN after numbers, null
    last. *ids* are bucket << 40 | number in the bucket, from 1. *buckets* are the SHA-256 of the canonical
    rows of each bucket that has rows. *widened* names the columns that are decimal(38,0) here because an
    integer sum does not fit 64 bits.
    """

    table: pa.Table
    ids: Ints
    buckets: dict[int, bytes]
    widened: list[str]


def finalize(states: pa.Table, query: Query, parse: ParseText | None = None) -> Finalized:
    """The results of combined *states*. The values in their lists may change their order.

    *parse* reads texts as values of a type, in `compute` and `having`. Raises ComputeFailed for the first
    group in which one of these has an error, and ValueOutOfRange for a string that Postgres cannot store.
    """
    keys = keys_of(states, query)
    found = buckets(keys, states.num_rows)
    order = _order(found, keys)
    columns = {key.name: column for key, column in zip(query.keys, keys, strict=True)}
    table = take_rows(pa.table(columns | _results(states, query)), order)
    found = found[order]
    if query.computed or query.having:
        table, kept = computed(table, query, parse)
        found = found[kept]
    widened = [a.name for a in query.aggregates if a.may_widen and pa.types.is_decimal(table[a.name].type)]
    for name in table.column_names:
        _check_storable(name, as_array(table[name]))
    firsts = np.concatenate([[0], np.cumsum(np.bincount(found, minlength=BUCKETS))])[found]
    ids = (found << _NUMBER_BITS) | (np.arange(len(found)) - firsts + 1)
    return Finalized(table, ids, bucket_digests(table, found), widened)


def _results(states: pa.Table, query: Query) -> dict[str, Array]:
    """The result column of each aggregate, by its name, in the order of *states*."""
    rows, shared = as_array(states["rows"]), shared_states(query)
    results: dict[str, Array] = {}
    for aggregate in query.aggregates:
        kernel, columns = KERNELS[aggregate.fn], {}
        if aggregate.columns:
            inputs = shared[source_of(aggregate)]
            columns = {state: state_columns(states, inputs, state) for state in kernel.states(aggregate)}
        results[aggregate.name] = kernel.finalize(Combined(aggregate, query.semantics, rows, columns))
    return results


def _order(found: Ints, keys: Sequence[Array]) -> Ints:
    """The rows in the order of their buckets and keys."""
    native, columns = library(), native_columns([without_dictionary(key) for key in keys])
    if native is None or columns is None or not 0 < len(keys) <= _MAX_KEYS:
        table = pa.table({"bucket": found} | {str(i): key for i, key in enumerate(keys)})
        order = pc.sort_indices(table, [(name, "ascending", "at_end") for name in table.column_names])
        return np.asarray(order).astype(np.int64)
    rows, bounds = bucket_order(found)
    items, spare = np.empty((2, int(np.diff(bounds).max()), 3), np.int64)
    native.gm_order_rows(
        columns.address,
        len(columns),
        *(bounds.ctypes.data, len(bounds) - 1),
        *(array.ctypes.data for array in (rows, items, spare)),
    )
    return rows


def _check_storable(name: str, column: Array) -> None:
    column = column.flatten() if pa.types.is_list(column.type) else column
    if is_string(column):
        offsets, data = string_bytes(column)
        if (data[offsets[0] : offsets[-1]] == 0).any():
            raise ValueOutOfRange(
                f"a value of {name!r} holds the character NUL, which Postgres cannot store in a text"
            )
