"""Items of an iterator made by a thread while the ones before them are used."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

DEPTH = 2
"""Items made before they are used. With one, each side would often wait for the other."""
_STACK = 1024 * 1024
"""Bytes of the thread's stack: they count against the memory of a child process."""


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items, and the same exceptions in the same places; no item may be None.

    While the caller uses an item, a thread makes the next DEPTH ones. The thread has ended when the items are
    at an end, when one of them raises, and when the generator is closed. Where the system gives no thread,
    the caller makes the items.
    """
    if (item := next(items, None)) is None:
        return
    with ThreadPoolExecutor(1) as thread:
        coming = _submitted(thread, items)
        try:
            while item is not None:
                yield item
                del item  # or it would stay in memory while the next ones are made
                if not coming:
                    item = next(items, None)
                elif (item := coming.popleft().result()) is not None:
                    coming.append(thread.submit(next, items, None))
        finally:
            for future in coming:
                future.cancel()


def _submitted(thread: ThreadPoolExecutor, items: Iterator[Item]) -> deque[Future[Item | None]]:
    """The first DEPTH items. Empty if the thread cannot be started; then nothing is taken of *items*."""
    before = threading.stack_size(_STACK)
    try:
        return deque(thread.submit(next, items, None) for _ in range(DEPTH))
    except RuntimeError:
        return deque()
    finally:
        threading.stack_size(before)
