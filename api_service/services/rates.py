"""How many requests a second each tenant may make to this gateway. Counted in its memory."""

import math
import time
from collections.abc import Callable

from shared.core.limits import Quota
from shared.core.token_bucket import Bucket, take
from shared.db.limits import LimitStore
from shared.errors import TooManyRequests

CACHE_SECONDS = 10.0
"""How old the limits are that tenants have of their own, at most."""
NAME = "requests_per_second"


class Rates:
    """*default* is the limit of a tenant that has none of its own."""

    def __init__(
        self, limits: LimitStore, default: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._default, self._clock = limits, default, clock
        self._own: dict[str, int | None] = {}
        self._buckets: dict[str, Bucket] = {}

    async def run_once(self) -> None:
        """Read the limits of the tenants that have their own, and forget the buckets that are full."""
        self._own = await self._limits.rates()
        now = self._clock()
        self._buckets = {tenant: each for tenant, each in self._buckets.items() if now - each.at < 1}

    def take(self, tenant: str) -> Quota | None:
        """Count a request; the rest of the limit, None without one. Raises TooManyRequests."""
        rate = self._own.get(tenant, self._default)
        if rate is None:
            return None
        bucket, wait = take(self._buckets.get(tenant), rate, self._clock())
        self._buckets[tenant] = bucket
        if wait:
            raise TooManyRequests(
                f"This tenant may make {rate:,} requests a second to this gateway (its limit {NAME}); wait a "
                "second, and wait for jobs with Prefer: wait=60 or the events of a job, in place of polling",
                quota=Quota(name=NAME, limit=rate, window=1, reset=math.ceil(wait)),
            )
        return Quota(name=NAME, limit=rate, left=int(bucket.tokens), window=1, reset=1)
