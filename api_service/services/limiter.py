"""A limit for answers and checks that take much memory: so many at once, so many of them for one tenant."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import GristmillError


class ConcurrencyLimiter:
    """At most *total* permits at once, at most *per_tenant* of them for one tenant.

    So a tenant of slow readers leaves some for the others.
    """

    def __init__(self, total: int, per_tenant: int, *, patience: float, refusal: GristmillError) -> None:
        self._total, self._per_tenant, self._patience, self._refusal = total, per_tenant, patience, refusal
        self._held: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def permit(self, tenant: str) -> AsyncIterator[None]:
        """Wait at most *patience* seconds for a permit, then raise an error like *refusal*."""
        async with self._changed:
            await self._wait(tenant)
            self._held[tenant] += 1
        try:
            yield
        finally:
            self._held -= Counter([tenant])  # which drops the tenants at zero
            async with self._changed:
                self._changed.notify_all()

    async def _wait(self, tenant: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._changed.wait_for(
                    lambda: self._held[tenant] < self._per_tenant and self._held.total() < self._total
                )
        except TimeoutError as error:
            raise type(self._refusal)(self._refusal.detail) from error
