"""Ending background tasks for certain."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Cancel the tasks, again and again, until they have ended or *seconds* have passed; returns those that have not.

    Once is not enough before Python 3.12: a cancellation that meets the end of what `asyncio.wait_for` waits for is lost
    (python/cpython#86296), and redis-py sends every command through it.
    """
    pending = set(tasks)
    deadline = time.monotonic() + seconds
    while pending and time.monotonic() < deadline:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    return pending
