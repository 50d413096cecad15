"""The units that fan-in makes: merges of ranges of the 1,024 hash buckets, then a publish; which are long."""

from shared.core.plan import MergePayload, PublishPayload

BUCKETS = 1024
MERGE_BYTES = 32 * 1024**2
"""Compressed states of one merge unit, about.

A partial that touches the ranges of several merges is read by each: few merges read less.
"""
LIST_MERGE_BYTES = 8 * 1024**2
"""The same of states that hold lists of values: these are held whole until they are finalized."""
FEW_MERGES, LEAST_MERGE_BYTES = 4, 1024**2
"""Up to so many merges are made, to be done at the same time, though one could read all states.

Each then has so many bytes at least.
"""
LONG_MERGE_BYTES = 2 * MERGE_BYTES
"""Of all partials that a merge reads, each with PARTIAL_COST_BYTES."""
PARTIAL_COST_BYTES = 4096
"""A partial takes as long to read as if it had so many bytes more."""
STATE_SCAN_BYTES, STATE_MERGE_BYTES = 36, 80
"""A state costs as much as 36 bytes of input while it is scanned, and as 80 while it is merged and indexed.

Measured on two cores, where a byte of CSV takes about 0.05 microseconds.
"""
LONG_PUBLISH_ROWS = 2_000_000
"""Rows to index, once for each index.

From here on a merge or a publish may take longer than a neighbour should wait: a few seconds.
"""
ROW_BYTES = 256
"""So many bytes of a table count as a row at least: long values take longer to index."""


def merge_ranges(state_bytes: int, *, lists: bool = False) -> list[tuple[int, int]]:
    """Ranges [first, end) of buckets, each with at most about MERGE_BYTES of states: 2**n of them.

    *lists*: the states hold lists of values.
    """
    count, most = 1, LIST_MERGE_BYTES if lists else MERGE_BYTES
    while count < BUCKETS and state_bytes > count * most:
        count *= 2
    while count < FEW_MERGES and state_bytes >= 2 * count * LEAST_MERGE_BYTES:
        count *= 2
    width = BUCKETS // count
    return [(first, first + width) for first in range(0, BUCKETS, width)]


def merge_payloads(
    state_bytes: int, begun: dict[int, int], ended: dict[int, int], *, lists: bool = False
) -> list[tuple[MergePayload, int]]:
    """The payloads of a job's merge units, and the bytes that each reads.

    *begun* and *ended*: the bytes to read, by the bucket at which their partial begins, and by the one at
    which it ends. A partial may span many ranges, and each of their merges reads it. So a merge reads the
    partials that begin before its range's end, less those that end before the range.
    """
    found, before, over = [], 0, 0
    for first, end in merge_ranges(state_bytes, lists=lists):
        before += sum(begun.get(bucket, 0) for bucket in range(first, end))
        size = before - over
        found.append((MergePayload(first=first, end=end, long=size > LONG_MERGE_BYTES), size))
        over += sum(ended.get(bucket, 0) for bucket in range(first, end))
    return found


def publish_payload(rows: int, table_bytes: int, indexes: int) -> tuple[PublishPayload, int]:
    """And the bytes that its indexes read, at least ROW_BYTES a row.

    *indexes*: those of the spec; each result has two more, of its `_id` and of its keys.
    """
    indexed = max(rows, table_bytes // ROW_BYTES) * (2 + indexes)
    return PublishPayload(long=indexed > LONG_PUBLISH_ROWS), indexed * ROW_BYTES
