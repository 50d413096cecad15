"""A cache with a time to live: many clients that poll cost Postgres as much as one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
Key = tuple[str, str]


class TtlCache(Generic[Value]):
    """Keeps a value for *seconds*, or for *times* as long as it took to load, whichever is longer.

    All that ask while a value is loading share it. Errors are not kept.
    """

    def __init__(self, seconds: float, times: float = 0) -> None:
        self._seconds, self._times = seconds, times
        self._values: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key, load: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = asyncio.create_task(load())
            value.add_done_callback(partial(self._loaded, key, time.monotonic()))
        return await asyncio.shield(value)

    def forget(self, key: Key) -> None:
        self._values.pop(key, None)

    def _loaded(self, key: Key, began: float, value: asyncio.Task[Value]) -> None:
        if value.cancelled() or value.exception():
            self._drop(key, value)
        else:
            kept = max(self._seconds, self._times * (time.monotonic() - began))
            asyncio.get_running_loop().call_later(kept, self._drop, key, value)

    def _drop(self, key: Key, value: asyncio.Task[Value]) -> None:
        if self._values.get(key) is value:
            self.forget(key)
