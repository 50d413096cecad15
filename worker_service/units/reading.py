"""A child at work on files: what its crash says of them."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from shared.errors import ReaderCrashed
from worker_service.executor import Answer, Child, ChildDied

NATIVE_READERS = ("readers/parquet/",)
"""Modules that call native code to read files. A crash below one of them is a crash of that code."""
_CRASHES = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
"""How a process ends by itself; what kills it from outside says nothing of its files."""
_NAMED = 5


@asynccontextmanager
async def reading(
    child: Child, request: dict[str, Any], uris: list[str], allowed: timedelta
) -> AsyncIterator[Answer]:
    """As `Child.run`, for a request about *uris*.

    Raises ReaderCrashed if native code crashed while it read them.

    The child's fault handler writes the stack of a crash to its standard error.
    """
    try:
        async with child.run(request, [], allowed) as answer:
            yield answer
    except ChildDied as died:
        death = child.death
        if (
            death is None
            or death.code not in _CRASHES
            or not any(module in death.said for module in NATIVE_READERS)
        ):
            raise
        told = ", ".join(uris[:_NAMED]) + (f" and {len(uris) - _NAMED} more" if len(uris) > _NAMED else "")
        raise ReaderCrashed(f"{died} while it read {told}") from died
