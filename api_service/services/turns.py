"""How many of something are under way at once, of all and of one tenant: large answers, and checks of large specs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import GristmillError


class Turns:
    """At most *most* at once, *most_each* of them for one tenant, so that a tenant of slow readers leaves something for the others."""

    def __init__(self, most: int, most_each: int, *, patience: float, refusal: GristmillError) -> None:
        self._most, self._most_each, self._patience, self._refusal = most, most_each, patience, refusal
        self._taken: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Waits *patience* seconds for one, then raises an error like *refusal*."""
        async with self._changed:
            await self._wait(tenant)
            self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken -= Counter([tenant])  # which forgets those at zero
            async with self._changed:
                self._changed.notify_all()

    async def _wait(self, tenant: str) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._changed.wait_for(
                    lambda: self._taken[tenant] < self._most_each and self._taken.total() < self._most
                )
        except TimeoutError as error:
            raise type(self._refusal)(self._refusal.detail) from error
