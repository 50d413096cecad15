"""States as bytes: Arrow IPC streams in pieces of ascending, disjoint bucket ranges."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.core.planning import BUCKETS
from shared.errors import InternalError
from shared.spec.query import Query
from shared.spec.version import STATE_VERSION
from worker_service.kernels.arrays import Array, Ints, is_string, one, text
from worker_service.kernels.hashing import buckets

_VERSION = b"gristmill.state"


@dataclass(frozen=True, slots=True)
class Piece:
    """The states of all groups of the buckets first_bucket..last_bucket."""

    first_bucket: int
    last_bucket: int
    groups: int
    data: bytes


def encode(states: pa.Table, query: Query, piece_bytes: int) -> Iterator[Piece]:
    """Cut at bucket borders; a piece is larger than *piece_bytes* only if one bucket is."""
    keys = [one(states[f"k{i}"]) for i in range(len(query.keys))]
    found = buckets(keys, states.num_rows)
    order = np.argsort(found, kind="stable")
    ordered = states.take(pa.array(order)).replace_schema_metadata({_VERSION: str(STATE_VERSION)})
    rows = np.searchsorted(found[order], np.arange(BUCKETS + 1))
    sizes = np.concatenate([[0], np.cumsum(_row_bytes(ordered))])[rows]
    first = 0
    while first < BUCKETS and rows[first] < len(order):
        last = max(int(np.searchsorted(sizes, sizes[first] + piece_bytes, "right")) - 2, first)
        if rows[last + 1] > rows[first]:
            part = ordered.slice(rows[first], rows[last + 1] - rows[first])
            yield Piece(first, last, part.num_rows, _serialized(part))
        first = last + 1


def decode(data: bytes) -> pa.Table:
    table = pa.ipc.open_stream(data).read_all()
    if (version := (table.schema.metadata or {}).get(_VERSION)) != str(STATE_VERSION).encode():
        raise InternalError(f"states of version {version!r} cannot be read; this is version {STATE_VERSION}")
    return table


def in_buckets(states: pa.Table, query: Query, first: int, end: int) -> pa.Table:
    """The states of the buckets [first, end): a piece may reach over the border of a merge unit's range."""
    found = buckets([one(states[f"k{i}"]) for i in range(len(query.keys))], states.num_rows)
    inside = (found >= first) & (found < end)
    return states if inside.all() else states.filter(pa.array(inside))


def _row_bytes(table: pa.Table) -> Ints:
    """About the bytes of each row, before compression."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        total += _bytes(one(column))
    return total


def _bytes(array: Array) -> Ints:
    if pa.types.is_list(array.type):
        inside = np.concatenate([[0], np.cumsum(_bytes(array.flatten()))])
        ends = np.concatenate([[0], np.cumsum(np.asarray(pc.list_value_length(array)))])
        sizes: Ints = np.diff(inside[ends])
        return sizes + 5
    if pa.types.is_struct(array.type):
        together: Ints = np.sum([_bytes(field) for field in array.flatten()], axis=0)
        return together
    lengths: Ints = (
        np.diff(text(array)[0])
        if is_string(array)
        else np.full(len(array), (array.type.bit_width + 7) // 8 - 4)
    )
    return lengths + 5


def _serialized(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
