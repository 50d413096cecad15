"""How many requests a second: a bucket that fills with time, and each request takes one token. Pure."""

from typing import NamedTuple


class Bucket(NamedTuple):
    """So many tokens at a time, in seconds."""

    tokens: float
    at: float


def take(bucket: Bucket | None, rate: int, now: float) -> tuple[Bucket, float]:
    """The bucket after a request, and the seconds until the next token; 0 if there was one.

    It holds the tokens of one second. A request that finds none takes none. A new bucket is full.
    """
    tokens = float(rate) if bucket is None else min(rate, bucket.tokens + (now - bucket.at) * rate)
    if tokens >= 1:
        return Bucket(tokens - 1, now), 0.0
    return Bucket(tokens, now), (1 - tokens) / rate
