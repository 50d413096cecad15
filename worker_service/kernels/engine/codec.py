"""States as bytes: partials, which are Arrow IPC streams of ascending, disjoint bucket ranges."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.core.fan_in import BUCKETS, LIST_MERGE_BYTES
from shared.errors import InternalError
from shared.spec.query import Query
from shared.spec.version import STATE_VERSION
from worker_service.arrow import Array, Ints, as_array, is_string, string_bytes
from worker_service.kernels.engine.narrow import narrowed, widened
from worker_service.kernels.engine.states import keys_of
from worker_service.kernels.engine.take import take_rows
from worker_service.kernels.hashing import buckets

_VERSION = b"gristmill.state"
_SAMPLE_BYTES, _SHRUNK = 1 << 16, 0.75
"""Values that differ, which growing states keep, hardly shrink; then not to try saves time."""
_ROOMY = 4
"""A merge reads LIST_MERGE_BYTES. Narrow lists are twice as large once read: far from its limit, then."""


@dataclass(frozen=True, slots=True)
class Partial:
    """The states of all groups of the buckets first_bucket..last_bucket; *data* is for `decode`.

    *decoded* is about the bytes that they take then.
    """

    first_bucket: int
    last_bucket: int
    groups: int
    data: bytes
    decoded: int


def encode(states: pa.Table, query: Query, partial_bytes: int) -> Iterator[Partial]:
    """Cut *states* into ranges of 2^n buckets that begin at a multiple of 2^n, as those of merges do.

    Buckets are halved, and the halves again, until a part takes at most *partial_bytes* before compression,
    or is one bucket. Merges have such ranges too. So a partial is inside of one, or spans some of them.
    """
    found = buckets(keys_of(states, query), states.num_rows)
    order, rows = bucket_order(found)
    ordered = take_rows(states, order)
    if query.max_state_bytes >= _ROOMY * LIST_MERGE_BYTES:
        ordered = narrowed(ordered)
    ordered = ordered.replace_schema_metadata({_VERSION: str(STATE_VERSION)})
    sizes = np.concatenate([[0], np.cumsum(_row_bytes(ordered))])[rows]
    ranges, codec = [(0, BUCKETS)], _codec(ordered)
    while ranges:
        first, end = ranges.pop()
        if end - first > 1 and sizes[end] - sizes[first] > partial_bytes:
            middle = (first + end) // 2
            ranges += (middle, end), (first, middle)
        elif rows[end] > rows[first]:
            chosen = ordered.slice(rows[first], rows[end] - rows[first])
            data, decoded = _serialized(chosen, codec), int(sizes[end] - sizes[first])
            yield Partial(first, end - 1, chosen.num_rows, data, decoded)


def bucket_order(found: Ints) -> tuple[Ints, Ints]:
    """The rows by bucket, and where each bucket begins among them; *found* is the bucket of each row."""
    order = np.argsort(
        found.astype(np.uint16), kind="stable"
    )  # numpy counts 16-bit numbers, and sorts others
    return order, np.concatenate([[0], np.cumsum(np.bincount(found, minlength=BUCKETS))])


def decode(data: bytes) -> pa.Table:
    """Raises InternalError for states of another STATE_VERSION."""
    table = pa.ipc.open_stream(data).read_all()
    if (version := (table.schema.metadata or {}).get(_VERSION)) != str(STATE_VERSION).encode():
        raise InternalError(f"states of version {version!r} cannot be read; this is version {STATE_VERSION}")
    return widened(table)


def in_buckets(states: pa.Table, query: Query, first: int, end: int) -> pa.Table:
    """The states of the buckets [first, end): a partial may reach beyond the range of a merge."""
    found = buckets(keys_of(states, query), states.num_rows)
    inside = (found >= first) & (found < end)
    return states if inside.all() else states.filter(pa.array(inside))


def _row_bytes(table: pa.Table) -> Ints:
    """About the bytes of each row, before compression."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        total += _bytes(as_array(column))
    return total


def _bytes(array: Array) -> Ints:
    if pa.types.is_list(array.type) and pa.types.is_primitive(array.type.value_type):
        lengths: Ints = np.asarray(pc.list_value_length(array)).astype(np.int64)
        return lengths * int(array.type.value_type.bit_width // 8) + 5
    if pa.types.is_list(array.type):
        inside = np.concatenate([[0], np.cumsum(_bytes(array.flatten()))])
        ends = np.concatenate([[0], np.cumsum(np.asarray(pc.list_value_length(array)))])
        sizes: Ints = np.diff(inside[ends])
        return sizes + 5
    if is_string(array):
        return np.diff(string_bytes(array)[0]).astype(np.int64) + 5
    return np.full(len(array), (array.type.bit_width + 7) // 8 + 1)


def _codec(table: pa.Table) -> str | None:
    """That of `_serialized`: lz4 if some of the rows, those in the middle, shrink by enough."""
    rows = min(table.num_rows, _SAMPLE_BYTES * table.num_rows // max(table.nbytes, 1) + 1)
    sample = table.slice((table.num_rows - rows) // 2, rows)
    return "lz4" if len(_serialized(sample, "lz4")) < _SHRUNK * len(_serialized(sample, None)) else None


def _serialized(table: pa.Table, codec: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
