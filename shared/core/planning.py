"""How a job's merge is divided: contiguous ranges of the 1,024 hash buckets; and which units of it are long."""

from typing import Any

BUCKETS = 1024
MERGE_BYTES = 8 * 1024**2
"""Compressed states of one merge unit, about; they are decoded whole, so this bounds a slot's memory."""
LONG_MERGE_BYTES = 4 * MERGE_BYTES
LONG_PUBLISH_ROWS = 1_000_000
"""From here on a merge or a publish may take longer than a neighbour should wait: a few seconds."""


def merge_ranges(state_bytes: int) -> list[tuple[int, int]]:
    """Ranges [first, end) of buckets, a power of two of them, such that each holds about MERGE_BYTES of states."""
    count = 1
    while count < BUCKETS and state_bytes > count * MERGE_BYTES:
        count *= 2
    width = BUCKETS // count
    return [(first, first + width) for first in range(0, BUCKETS, width)]


def merge_payloads(sizes: dict[int, int]) -> list[dict[str, Any]]:
    """What the merge units of a job are to do; *sizes*: bytes of states by the bucket at which they begin."""
    found = []
    for first, end in merge_ranges(sum(sizes.values())):
        size = sum(size for bucket, size in sizes.items() if first <= bucket < end)
        found.append({"first": first, "end": end} | _long(size > LONG_MERGE_BYTES))
    return found


def publish_payload(rows: int) -> dict[str, Any]:
    return _long(rows > LONG_PUBLISH_ROWS)


def _long(yes: bool) -> dict[str, Any]:
    return {"long": True} if yes else {}
