"""Both clients of the SDK behind one form, so that one test body serves both."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gristmill import AsyncClient, Client

KINDS = {"sync": Client, "async": AsyncClient}


async def got(value: Any) -> Any:
    """The value of a call of either client."""
    return await value if inspect.isawaitable(value) else value


async def listed(items: Any) -> list[Any]:
    return [item async for item in items] if hasattr(items, "__aiter__") else list(items)


async def beside(call: Any, *arguments: Any, **words: Any) -> "asyncio.Task[Any]":
    """A call of either client under way while the test goes on."""
    if inspect.iscoroutinefunction(call):
        return asyncio.create_task(call(*arguments, **words))
    return asyncio.create_task(asyncio.to_thread(call, *arguments, **words))


@asynccontextmanager
async def client_of(kind: str, url: str, api_key: str | None = None) -> AsyncIterator[Any]:
    client = KINDS[kind](url, api_key, progress=False)
    try:
        yield client
    finally:
        await got(client.close())
