"""States to results: the columns as they are stored, in the one order that every run gives."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import ValueOutOfRange
from shared.spec.query import Aggregate, Query
from worker_service.kernels.arrays import Array, Ints, is_string, one, text
from worker_service.kernels.declaration import Ending
from worker_service.kernels.digest import bucket_digests
from worker_service.kernels.hashing import buckets
from worker_service.kernels.partials import state_columns
from worker_service.kernels.table import KERNELS, Source, sources

_ORDINAL_BITS = 40


@dataclass(frozen=True, slots=True)
class Finalized:
    """The result's columns, keys first, ordered by (bucket, keys ascending: strings by UTF-8 bytes, NaN after numbers, null last).

    *ids* are bucket << 40 | ordinal in the bucket, from 1; *buckets* are the SHA-256 of each non-empty
    bucket's canonical rows; *widened* names the columns that are decimal(38,0) here because an integer sum
    does not fit 64 bits.
    """

    table: pa.Table
    ids: Ints
    buckets: dict[int, bytes]
    widened: list[str]


def finalize(states: pa.Table, query: Query) -> Finalized:
    """The results of combined *states*. Raises ValueOutOfRange for a string that Postgres cannot store."""
    keys = [one(states[f"k{i}"]) for i in range(len(query.keys))]
    found = buckets(keys, states.num_rows)
    columns = {key.name: column for key, column in zip(query.keys, keys, strict=True)}
    found_sources = sources(query)
    for aggregate in query.aggregates:
        columns[aggregate.name] = _end(states, query, aggregate, found_sources.get(aggregate.columns))
    order = _order(found, keys)
    table = pa.table({name: column.take(order) for name, column in columns.items()})
    for name in table.column_names:
        _check(name, one(table[name]))
    found = found[np.asarray(order)]
    firsts = np.searchsorted(found, found, "left")
    ids = (found << _ORDINAL_BITS) | (np.arange(len(found)) - firsts + 1)
    widened = [a.name for a in query.aggregates if a.may_widen and pa.types.is_decimal(table[a.name].type)]
    return Finalized(table, ids, bucket_digests(table, found), widened)


def _end(states: pa.Table, query: Query, aggregate: Aggregate, source: Source | None) -> Array:
    kernel = KERNELS[aggregate.fn]
    found = (
        {state.name: state_columns(states, source.prefix, state) for state in kernel.states(aggregate)}
        if source
        else {}
    )
    return kernel.finalize(Ending(aggregate, query.semantics, one(states["rows"]), found))


def _order(found: Ints, keys: list[Array]) -> "pa.UInt64Array":
    table = pa.table({"bucket": found} | {str(i): key for i, key in enumerate(keys)})
    return pc.sort_indices(table, [(name, "ascending", "at_end") for name in table.column_names])


def _check(name: str, column: Array) -> None:
    column = column.flatten() if pa.types.is_list(column.type) else column
    if is_string(column):
        places, data = text(column)
        if (data[places[0] : places[-1]] == 0).any():
            raise ValueOutOfRange(
                f"a value of {name!r} holds the character NUL, which Postgres cannot store in a text"
            )
