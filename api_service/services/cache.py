"""A cache with a time to live: many clients that poll cost Postgres as much as one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

Value = TypeVar("Value")
Key = tuple[str, str]
Load: TypeAlias = Callable[[], Coroutine[Any, Any, Value]]


class TtlCache(Generic[Value]):
    """Keeps a value for *seconds*, or for *times* as long as it took to load, whichever is longer.

    *seconds* may depend on the value. All that ask while a value is loading share it. An error is kept for
    *error_seconds*, and a value for *old_seconds* more: only `recent` still gives it.
    """

    def __init__(
        self,
        seconds: float | Callable[[Value], float],
        times: float = 0,
        error_seconds: float = 0,
        old_seconds: float = 0,
    ) -> None:
        self._seconds = seconds if callable(seconds) else lambda _: seconds
        self._times, self._error_seconds, self._old_seconds = times, error_seconds, old_seconds
        self._values: dict[Key, asyncio.Task[Value]] = {}
        self._old: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key, load: Load[Value]) -> Value:
        value = self._current(key, load)
        return value.result() if value.done() else await asyncio.shield(value)

    async def recent(self, key: Key, load: Load[Value]) -> Value:
        """An old value at once, if there is one, while a new one is loaded; see *old_seconds*."""
        value = self._current(key, load)
        if not value.done() and (old := self._old.get(key)) is not None:
            return old.result()
        return await self.get(key, load)

    def forget(self, key: Key) -> None:
        self._values.pop(key, None)
        self._old.pop(key, None)

    def _current(self, key: Key, load: Load[Value]) -> asyncio.Task[Value]:
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = asyncio.create_task(load())
            value.add_done_callback(partial(self._loaded, key, time.monotonic()))
        return value

    def _loaded(self, key: Key, began: float, value: asyncio.Task[Value]) -> None:
        if value.cancelled() or (value.exception() and not self._error_seconds):
            _drop(self._values, key, value)
            return
        if value.exception():
            kept = self._error_seconds
        else:
            kept = max(self._seconds(value.result()), self._times * (time.monotonic() - began))
        asyncio.get_running_loop().call_later(kept, self._age, key, value)

    def _age(self, key: Key, value: asyncio.Task[Value]) -> None:
        if _drop(self._values, key, value) and self._old_seconds and not value.exception():
            self._old[key] = value
            asyncio.get_running_loop().call_later(self._old_seconds, _drop, self._old, key, value)


def _drop(values: dict[Key, asyncio.Task[Value]], key: Key, value: asyncio.Task[Value]) -> bool:
    """Whether it was there, and not another one."""
    if values.get(key) is not value:
        return False
    del values[key]
    return True


class Together(Generic[Value]):
    """Loads the values of all keys that are asked for in one turn of the event loop in one go."""

    def __init__(self, load: Callable[[list[str]], Coroutine[Any, Any, dict[str, Value]]]) -> None:
        self._load = load
        self._keys: set[str] = set()
        self._next: asyncio.Task[dict[str, Value]] | None = None

    async def get(self, key: str) -> Value | None:
        """None for a key without a value."""
        self._keys.add(key)
        if self._next is None:
            self._next = asyncio.create_task(self._load_asked())
        return (await asyncio.shield(self._next)).get(key)

    async def _load_asked(self) -> dict[str, Value]:
        await asyncio.sleep(0)
        keys, self._keys, self._next = sorted(self._keys), set(), None
        return await self._load(keys)
