"""Ids that sort by time, cannot be guessed and are safe in URLs and as SQL identifiers."""

import itertools
import os
import time
from collections.abc import Iterator

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_SHIFTS = range(120, -1, -10)
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters: 48 bits of Unix milliseconds, then 80 random bits, as in a ULID."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def numbered_ids(prefix: str) -> Iterator[str]:
    """Ids of the form of `new_id` that cost little, and can be guessed.

    They have the time and 40 random bits of this call in common, and count on in hexadecimal.
    """
    begin = new_id(prefix)[:-8]
    return map(f"{begin}{{:08x}}".format, itertools.count())


def made_at(prefix: str, text: str) -> float | None:
    """The Unix time in seconds at which `new_id` made *text*; None for other texts."""
    found, _, digits = text.partition("_")
    if found != prefix or len(digits) != 26 or not set(digits) <= set(ALPHABET):
        return None
    number = 0
    for digit in digits:
        number = number << 5 | ALPHABET.index(digit)
    return (number >> 80) / 1000
