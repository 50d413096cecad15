"""Background tasks that go on, and that end, for certain."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

import structlog

AGAIN_SECONDS = 0.1
REST_SECONDS = 1.0
log = structlog.get_logger()


async def forever(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    rest: float = REST_SECONDS,
    away: tuple[type[Exception], ...] = (),
) -> NoReturn:
    """Run again, after a rest, whatever ends a run: only who cancels this task ends it, not a driver that cancels itself.

    Errors of *away* only say that a server is not there.
    """
    task = asyncio.current_task()
    while True:
        try:
            await run()
        except away as error:
            log.warning("loop.away", loop=name, error=str(error))
        except asyncio.CancelledError:
            if task is None or task.cancelling():
                raise
            log.warning("loop.cancelled", loop=name)
        except Exception:
            log.exception("loop.bug", loop=name)
        await asyncio.sleep(rest)


async def end(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Cancel the tasks, again and again, until they have ended or *seconds* have passed.

    Returns those that have not.

    Once is not enough before Python 3.12: a cancellation that meets the end of what `asyncio.wait_for` waits
    for is lost (python/cpython#86296), and redis-py sends every command through it.
    """
    pending = set(tasks)
    deadline = time.monotonic() + seconds
    while pending and time.monotonic() < deadline:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    return pending
