"""Ids that sort by time, cannot be guessed and are safe in URLs and as SQL identifiers."""

import secrets
import time

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters: 48 bits of Unix milliseconds, then 80 random bits, as in a ULID."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
