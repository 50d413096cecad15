"""How a job's merge is divided: contiguous ranges of the 1,024 hash buckets."""

BUCKETS = 1024
MERGE_BYTES = 8 * 1024**2
"""Compressed states of one merge unit, about; they are decoded whole, so this bounds a slot's memory."""


def merge_ranges(state_bytes: int) -> list[tuple[int, int]]:
    """Ranges [first, end) of buckets, a power of two of them, such that each holds about MERGE_BYTES of states."""
    count = 1
    while count < BUCKETS and state_bytes > count * MERGE_BYTES:
        count *= 2
    width = BUCKETS // count
    return [(first, first + width) for first in range(0, BUCKETS, width)]
