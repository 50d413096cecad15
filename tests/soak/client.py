"""A client as a careful user would write it: any gateway will do, a request without answer is sent again."""

import asyncio
import time
from collections import Counter
from random import Random
from typing import Any

import aiohttp
import msgspec

AGAIN = {502, 503, 504}
REQUEST_SECONDS = 15


class GaveUp(Exception):
    """No gateway answered within the patience."""


class Client:
    """Requests that survive the death of any one server; `met` counts the failures on the way."""

    def __init__(self, urls: list[str], chance: Random, patience: float) -> None:
        self._urls = urls
        self._chance = chance
        self.patience = patience
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=3))
        self.met: Counter[str] = Counter()
        self.odd: list[str] = []
        """Answers that no fault excuses: a 5xx other than 503, a 503 without Retry-After."""

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, **request: Any) -> tuple[int, Any, int]:
        """The status and body of the first answer other than "try again", and how many tries it took."""
        end = time.monotonic() + self.patience
        tries = 1
        while (answer := await self._once(method, path, request)) is None:
            if time.monotonic() > end:
                raise GaveUp(
                    f"{method} {path} was not answered within {self.patience:g} s, after {tries} tries"
                )
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))
            tries += 1
        return *answer, tries

    async def _once(self, method: str, path: str, request: dict[str, Any]) -> tuple[int, Any] | None:
        try:
            async with self._session.request(
                method, self._chance.choice(self._urls) + path, **request
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            self.met[type(error).__name__] += 1
            return None
        self.met[str(response.status)] += 1
        if response.status >= 500 and not (response.status == 503 and "Retry-After" in response.headers):
            self.odd.append(f"{response.status} to {method} {path}: {body[:300]!r}")
        if response.status in AGAIN:
            return None
        return response.status, msgspec.json.decode(body) if body else None
