"""The units that fan-in makes: merges of ranges of the 1,024 hash buckets, then a publish; which are long."""

from dataclasses import dataclass

from shared.core.plan import MergePayload, PublishPayload

BUCKETS = 1024
MERGE_BYTES = 48 * 1024**2
"""Decoded states of one merge unit, about. They are held at once, so this bounds the memory of a slot.

A smaller slot than SLOT_BYTES has less. A partial that touches several ranges is read by each of their
merges: few merges read less.
"""
SLOT_BYTES = 2 * 1024**3
"""The memory of a slot that bounds of states are for, see `in_slot`."""
LIST_MERGE_BYTES = 8 * 1024**2
"""Compressed states of one merge unit, about, if they hold lists of values: these take more room."""
FEW_MERGES, LEAST_MERGE_BYTES = 4, 1024**2
"""Up to so many merges are made, to be done at the same time, though one could read all states.

Each then has so many compressed bytes at least.
"""
LONG_MERGE_BYTES, LONG_LIST_MERGE_BYTES = MERGE_BYTES, 4 * LIST_MERGE_BYTES
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


def in_slot(most: int, slot_bytes: int) -> int:
    """A bound of states, in a slot of *slot_bytes*: a smaller slot holds less, in proportion."""
    return most * min(slot_bytes, SLOT_BYTES) // SLOT_BYTES


@dataclass(frozen=True, slots=True)
class StateSizes:
    """Bytes of the states of a job: *compressed*, and *decoded* in memory. *lists*: of lists of values."""

    compressed: int
    decoded: int
    lists: bool = False


def merge_ranges(states: StateSizes, slot_bytes: int = SLOT_BYTES) -> list[tuple[int, int]]:
    """Ranges [first, end) of buckets, for merges in slots of *slot_bytes*: 2**n of them."""
    size, most = (states.compressed, LIST_MERGE_BYTES) if states.lists else (states.decoded, MERGE_BYTES)
    most, count = in_slot(most, slot_bytes), 1
    while count < BUCKETS and size > count * most:
        count *= 2
    while count < FEW_MERGES and states.compressed >= 2 * count * LEAST_MERGE_BYTES:
        count *= 2
    width = BUCKETS // count
    return [(first, first + width) for first in range(0, BUCKETS, width)]


def merge_payloads(
    states: StateSizes, begun: dict[int, int], ended: dict[int, int], slot_bytes: int = SLOT_BYTES
) -> list[tuple[MergePayload, int]]:
    """The payloads of a job's merge units, and the bytes that each reads.

    *begun* and *ended*: the bytes to read, by the bucket at which their partial begins, and by the one at
    which it ends. A partial may span many ranges, and each of their merges reads it. So a merge reads the
    partials that begin before its range's end, less those that end before the range.
    """
    found, before, over = [], 0, 0
    most = LONG_LIST_MERGE_BYTES if states.lists else LONG_MERGE_BYTES
    for first, end in merge_ranges(states, slot_bytes):
        before += sum(begun.get(bucket, 0) for bucket in range(first, end))
        size = before - over
        found.append((MergePayload(first=first, end=end, long=size > most), size))
        over += sum(ended.get(bucket, 0) for bucket in range(first, end))
    return found


def publish_payload(rows: int, table_bytes: int, indexes: int) -> tuple[PublishPayload, int]:
    """And the bytes that its indexes read, at least ROW_BYTES a row.

    *indexes*: those of the spec; each result has two more, of its `_id` and of its keys.
    """
    indexed = max(rows, table_bytes // ROW_BYTES) * (2 + indexes)
    return PublishPayload(long=indexed > LONG_PUBLISH_ROWS), indexed * ROW_BYTES
