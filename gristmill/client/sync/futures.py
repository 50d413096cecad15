"""Futures of jobs, completed by one thread of the client."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.05, 0.5
Look = Callable[[], Any]
"""The result of a job, None while it is under way. It raises the error of a job that failed."""


class Watcher:
    """Looks at every pending job in turn, more often after one has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[Future[Any], Look] = {}
        self._thread: threading.Thread | None = None

    def watch(self, look: Look) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._pending[future] = look
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="gristmill-futures", daemon=True)
                self._thread.start()
        return future

    def _watch(self) -> None:
        pause = FIRST_LOOK_SECONDS
        while pending := self._still_pending():
            ended = [future for future, look in pending.items() if _completed(future, look)]
            with self._lock:
                for future in ended:
                    del self._pending[future]
            pause = FIRST_LOOK_SECONDS if ended else min(pause * 1.5, LONGEST_LOOK_SECONDS)
            time.sleep(pause)

    def _still_pending(self) -> dict[Future[Any], Look]:
        """The futures to look at. Without any the thread is forgotten, since it ends."""
        with self._lock:
            if not self._pending:
                self._thread = None
            return dict(self._pending)


def _completed(future: Future[Any], look: Look) -> bool:
    try:
        result = look()
    except Exception as error:  # noqa: BLE001  # the future carries it
        future.set_exception(error)
        return True
    if result is not None:
        future.set_result(result)
    return result is not None
