"""Items of an iterator made by a thread while the ones before them are used."""

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

STREAMED = 2 * 1024 * 1024
"""Bytes of a block of a stream at most: two blocks are in memory, and they are joined in the cache."""
_STACK = 1024 * 1024
"""Bytes of the thread's stack: they count against the memory of a child process."""


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items, and the same exceptions in the same places; no item may be None.

    While the caller uses an item, a thread makes the next one and no more: at most two are in memory. The
    thread has ended when the items are at an end, when one of them raises, and when the generator is closed.
    Where the system gives no thread, the caller makes the items.
    """
    if (item := next(items, None)) is None:
        return
    with ThreadPoolExecutor(1) as thread:
        coming = _first_submitted(thread, items)
        while item is not None:
            yield item
            del item  # or it would stay in memory while the one after the next is made
            if coming is None:
                item = next(items, None)
            elif (item := coming.result()) is not None:
                coming = thread.submit(next, items, None)


def _first_submitted(thread: ThreadPoolExecutor, items: Iterator[Item]) -> Future[Item | None] | None:
    """None if the thread cannot be started; then nothing has been taken of *items*."""
    before = threading.stack_size(_STACK)
    try:
        return thread.submit(next, items, None)
    except RuntimeError:
        return None
    finally:
        threading.stack_size(before)
