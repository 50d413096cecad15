"""The slots of a worker: one child process each, replaced when it dies."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from shared.errors import OutOfMemory
from worker_service.executors.processes.child import ChildProcess
from worker_service.executors.processes.template import CHILD_PROGRAM, Template
from worker_service.executors.protocol import ChildDied

START_SECONDS = 60.0
START_AGAIN_SECONDS = 1.0
STOP_SECONDS = 5.0
log = structlog.get_logger()


class ProcessExecutor:
    """An `Executor` (see `protocol`). *module* is the program of its children; tests bring their own.

    `_children` has the child of each free slot, as a future while it still starts. A taken slot is not in it.
    """

    def __init__(self, slots: int, memory_bytes: int, module: str = CHILD_PROGRAM) -> None:
        self.slots = slots
        self.child_ready = asyncio.Event()
        self._memory_bytes, self._module = memory_bytes, module
        self._template: Template | None = None
        self._closing = asyncio.Event()
        self._children: list[asyncio.Task[ChildProcess]] = []
        self._stopping: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Begin to load the modules that children need; `start` waits for it."""
        with suppress(OSError):  # `start` tries again, and says why
            self._living_template()

    async def start(self) -> None:
        self._children = [self._begin() for _ in range(self.slots)]
        started, _ = await asyncio.wait(self._children)  # unlike gather, it cancels none of them
        for child in started:
            child.result()

    @property
    def rights(self) -> dict[str, str]:
        return self._template.rights if self._template is not None else {}

    @property
    def ready(self) -> int:
        """A child that still starts is seconds away: others should have the work."""
        return sum(child.done() for child in self._children)

    def _begin(self) -> asyncio.Task[ChildProcess]:
        child = asyncio.create_task(self._started())
        child.add_done_callback(lambda _: self.child_ready.set())
        return child

    async def _started(self) -> ChildProcess:
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(START_SECONDS):
                    return await ChildProcess.start(self._living_template())
            except (ChildDied, OutOfMemory, OSError) as error:
                if self._closing.is_set():
                    break
                if isinstance(error, TimeoutError) and self._template is not None:
                    self._template.close()  # frozen: the next try makes another
                log.warning("child.waits", error=str(error) or "the template does not answer")
                await asyncio.sleep(START_AGAIN_SECONDS)
        raise asyncio.CancelledError

    async def maintain(self) -> None:
        """Replace a template that does not answer, before a slot needs it."""
        template = self._template
        if self._closing.is_set() or template is None or not template.alive:
            return
        if not template.answers(time.monotonic()):
            log.warning("template.frozen", template=template.pid)
            template.close()
            self.prepare()

    def _living_template(self) -> Template:
        if self._template is None or not self._template.alive:
            if self._template is not None:
                self._template.close()
            self._template = Template(self._memory_bytes, self._module)
        return self._template

    @asynccontextmanager
    async def child(self) -> AsyncIterator[ChildProcess]:
        """A dead child is replaced at once, while the caller goes on."""
        taken = max(self._children, key=lambda child: child.done())
        self._children.remove(taken)
        try:
            child = await asyncio.shield(taken)
            if not child.alive:
                taken = self._living(taken)
                child = await asyncio.shield(taken)
            yield child
        finally:
            self._children.append(self._living(taken))

    def _living(self, child: asyncio.Task[ChildProcess]) -> asyncio.Task[ChildProcess]:
        """The same child, or a new one if it is dead."""
        if not child.done() or child.result().alive:
            return child
        stopping = asyncio.create_task(child.result().stop())
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        return self._begin()

    async def close(self) -> None:
        self._closing.set()
        if self._template is not None:
            self._template.close()  # from here on no child starts
        if not self._children:
            return
        started, stuck = await asyncio.wait(self._children, timeout=STOP_SECONDS)
        for child in stuck:
            log.error("child.stuck")  # it dies with this process
            child.cancel()
        children = [
            child.result() for child in started if not child.cancelled() and child.exception() is None
        ]
        await asyncio.gather(*self._stopping, *(child.stop() for child in children))
