"""A child at work on files: what its crash says of them."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from shared.errors import ReaderCrashed
from worker_service.executor import Answer, Child, ChildDied

_PARQUET = b"PAR1"
_CRASHES = {-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL}
"""How a process ends by itself; what kills it from outside says nothing of its files."""


@asynccontextmanager
async def reading(child: Child, request: dict[str, Any], descriptors: list[int], allowed: timedelta) -> AsyncIterator[Answer]:
    """As `Child.run`; raises ReaderCrashed if the child crashed and a file is Parquet, which native code reads."""
    try:
        async with child.run(request, descriptors, allowed) as answer:
            yield answer
    except ChildDied as died:
        pairs = zip(request["uris"], descriptors, strict=True)
        files = [uri for uri, file in pairs if os.pread(file, len(_PARQUET), 0) == _PARQUET]
        if child.death is None or child.death.code not in _CRASHES or not files:
            raise
        told = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
        raise ReaderCrashed(f"{died} while it read {told}") from died
