"""The facts about a Redis that `doctor` judges; it writes one key, which lives for a second."""

import time

from shared.core.facts import Redis, clock
from shared.doorbell import REDIS_AWAY, redis_pool

PROBE = "gristmill:doctor"


async def redis_facts(url: str) -> Redis:
    """Raises an error of REDIS_AWAY."""
    redis = redis_pool(url)
    try:
        before = time.time()
        seconds, micros = await redis.time()
        after = time.time()
        info = await redis.info()
        try:
            await redis.set(PROBE, b"1", px=1000)
            refusal = ""
        except REDIS_AWAY as error:
            refusal = str(error)
    finally:
        await redis.aclose(close_connection_pool=True)
    return Redis(info=info, refusal=refusal, clock=clock(before, seconds + micros / 1e6, after))
