"""The parts of an executor that a worker needs: slots, a child for each, and tasks that a child runs.

How a child is kept, and how tasks and bytes reach it, is the executor's own business.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol

from typing_extensions import Buffer

from worker_service.messages import R, Task


class ChildDied(Exception):
    """The child ended in the middle of a task: it was killed, or it crashed."""


class Blob(Protocol):
    """Bytes that are too many for a message. They lie outside the parent's heap."""

    @property
    def size(self) -> int: ...

    def write(self, data: Buffer) -> None:
        """Append *data*."""

    def read(self, start: int, size: int) -> bytes:
        """Raises EOFError if it has fewer bytes."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """*body* is lent: it is gone after the context that gave it."""

    result: R
    body: Blob


class Child(Protocol):
    """Runs one task at a time."""

    @property
    def alive(self) -> bool: ...

    def attachment(self) -> AbstractContextManager[Blob]:
        """A new blob for the data that a task reads beside its message."""

    def run(
        self, task: Task[R], allowed: timedelta, attachment: Blob | None = None
    ) -> AbstractAsyncContextManager[Answer[R]]:
        """Run a task and lend its answer.

        Raises the error that the child reports, OutOfMemory, Preempted, TimeoutError after *allowed*,
        OSError. Raises ReaderCrashed if the child crashed in native code that read a file, ChildDied for any
        other end.
        """

    def preempt(self) -> bool:
        """End a task that is being computed: its `run` raises Preempted. False if there is none."""


class Executor(Protocol):
    """*child_ready* is set whenever a child becomes ready for work."""

    slots: int
    child_ready: asyncio.Event

    @property
    def ready(self) -> int:
        """How many children wait for work. One that still starts does not count."""

    @property
    def rights(self) -> dict[str, str]:
        """The rights that the children have given up, for the log; known once `start` has returned."""

    async def start(self) -> None:
        """Returns when a child is ready in each slot."""

    def child(self) -> AbstractAsyncContextManager[Child]:
        """Lend a living child of a slot that the caller has taken."""

    async def maintain(self) -> None:
        """Called at each heartbeat: find and mend faults that no slot has noticed yet."""

    async def close(self) -> None: ...
