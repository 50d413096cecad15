"""Services of one shape that run again and again, and background tasks that end for certain."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, astuple, dataclass
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple, NoReturn

import structlog

from shared.errors import TransientError

CANCEL_AGAIN_SECONDS = 0.1
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of one run of a service; false if all are 0. Each service has a subclass with its counts."""

    routine: ClassVar[bool] = False
    """Whether the counts are seldom 0, so that they are logged as details only."""

    def __bool__(self) -> bool:
        return any(astuple(self))


class Service(NamedTuple):
    """A loop that `forever` runs: `run_once`, then a rest of *period*, which the event *wake* ends early.

    A service whose `run_once` goes on by itself comes to its rest only after an error. Errors of *away* only
    say that a server is not there.
    """

    name: str
    run_once: Callable[[], Awaitable[Report | None]]
    period: timedelta = timedelta(seconds=1)
    wake: asyncio.Event | None = None
    away: tuple[type[Exception], ...] = (TransientError,)


async def forever(service: Service) -> NoReturn:
    """Run a service again whatever ends a run, and log its reports.

    Only a cancellation of this very task ends it: drivers cancel themselves.
    """
    task = asyncio.current_task()
    wake = service.wake or asyncio.Event()
    while True:
        wake.clear()
        try:
            report = await service.run_once()
            if report:
                (log.debug if report.routine else log.info)(f"{service.name}.report", **asdict(report))
        except service.away as error:
            log.warning("loop.away", loop=service.name, error=str(error))
        except asyncio.CancelledError:
            if task is None or task.cancelling():
                raise
            log.warning("loop.cancelled", loop=service.name)
        except Exception:
            log.exception("loop.bug", loop=service.name)
        await wait(wake, service.period)


async def wait(event: asyncio.Event, most: timedelta) -> None:
    """Until the event, or for *most*.

    Unlike `asyncio.wait_for` it never loses a cancellation that comes together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most.total_seconds()):
            await event.wait()


async def end(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Cancel the tasks, again and again, until they have ended or *seconds* have passed.

    Returns those that have not.

    Once is not enough before Python 3.12. A cancellation is lost if it meets the end of the awaitable in
    `asyncio.wait_for` (python/cpython#86296). redis-py sends every command through that function.
    """
    pending = set(tasks)
    deadline = time.monotonic() + seconds
    while pending and time.monotonic() < deadline:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
    return pending
