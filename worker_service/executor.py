"""The child processes: one owned child a slot, replaced when it dies, killed when its work is no longer wanted."""

import asyncio
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from shared.errors import GristmillError, OutOfMemory, SchemaWidened, from_problem
from worker_service.child import wire
from worker_service.deaths import Death

CHILD = "worker_service.child"
MAX_WORDS = 8192
START_AGAIN_SECONDS = 1.0
_MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
}
"""glibc's allocator, told to keep and reuse the memory of batches: fresh pages for each would take as long as the parsing of CSV."""
log = structlog.get_logger()


class ChildDied(Exception):
    """The process ended in the middle of a unit: killed or crashed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A child's answer; the body lies in memory file *descriptor* from *offset* on."""

    header: dict[str, Any]
    descriptor: int
    offset: int

    def body(self, start: int, size: int) -> bytes:
        return wire.read_exactly(self.descriptor, size, self.offset + start)

    @property
    def body_size(self) -> int:
        return os.fstat(self.descriptor).st_size - self.offset


class Child:
    """One child process; runs one request at a time. Made by `start`, in the main thread: the kernel's parent-death signal follows a thread."""

    def __init__(self, memory_bytes: int, module: str) -> None:
        self._memory_bytes = memory_bytes
        self.death: Death | None = None
        self._killed = False
        self._ended = asyncio.Event()
        self._sock, theirs = socket.socketpair()
        self._sock.setblocking(False)
        read_end, self._lifeline = os.pipe()
        self._words = wire.memory_file("words")
        fcntl.fcntl(self._words, fcntl.F_SETFL, os.O_APPEND)
        arguments = [str(n) for n in (theirs.fileno(), read_end, os.getpid(), memory_bytes)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                pass_fds=(theirs.fileno(), read_end), env=child_environment(), stdin=subprocess.DEVNULL, stderr=self._words,
            )  # fmt: skip
        except BaseException:
            for descriptor in (self._sock.detach(), self._lifeline, self._words):
                os.close(descriptor)
            raise
        finally:
            theirs.close()
            os.close(read_end)
        self._pidfd = os.pidfd_open(self._process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    async def start(cls, memory_bytes: int, module: str = CHILD) -> "Child":
        child = cls(memory_bytes, module)
        try:
            await child._done()
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False as soon as it is killed, which under load is long before it is gone."""
        self._reap()
        return self.death is None and not self._killed

    def _reap(self) -> None:
        """Asyncio's own way of waiting keeps neither the exit's very moment nor the peak of memory."""
        if self.death is not None:
            return
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.death = Death(self._process.returncode, usage.ru_maxrss * 1024, self._memory_bytes, self._said())
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set()

    def _said(self) -> str:
        """The end of what it wrote to its standard error since the last call."""
        size = os.fstat(self._words).st_size
        said = os.pread(self._words, MAX_WORDS, max(0, size - MAX_WORDS)).decode(errors="replace")
        os.ftruncate(self._words, 0)
        if said:
            log.warning("child.said", child=self.pid, text=said)
        return said

    async def _done(self) -> None:
        try:
            said = await asyncio.get_running_loop().sock_recv(self._sock, 1)
        except ConnectionError:
            said = b""
        if said != b".":
            await self._fail()

    async def _fail(self) -> None:
        """Wait for the end that the socket's has announced, and raise what it means."""
        await self._ended.wait()
        assert self.death is not None
        if self.death.out_of_memory:
            raise OutOfMemory(f"The child process ended with {self.death}")
        raise ChildDied(f"The child process ended with {self.death}")

    @asynccontextmanager
    async def run(self, request: dict[str, Any], files: list[int], allowed: timedelta) -> AsyncIterator[Answer]:
        """Run one request and lend its answer. Raises the error that the child reports, OutOfMemory, ChildDied, or TimeoutError after *allowed*.

        A caller that stops waiting (cancel, lost lease) leaves a busy child behind, which is killed: CPU work
        cannot be stopped otherwise. So is one that ran out of memory: what it holds may be in pieces.
        """
        asked = wire.memory_file("request", json.dumps(request).encode())
        answered = wire.memory_file("answer")
        try:
            try:
                async with asyncio.timeout(allowed.total_seconds()):
                    await self._ask([asked, answered, *files])
                header, offset = wire.read_header(answered)
                _raise_reported(header)
            except GristmillError as error:
                if isinstance(error, OutOfMemory):
                    await self.stop()
                raise
            except BaseException:
                await self.stop()
                raise
            yield Answer(header, answered, offset)
        finally:
            os.close(asked)
            os.close(answered)

    async def _ask(self, descriptors: list[int]) -> None:
        try:
            wire.send_descriptors(self._sock, descriptors)
        except ConnectionError:
            await self._fail()
        await self._done()
        self._said()

    async def stop(self) -> None:
        if self.alive:
            self._process.kill()
            self._killed = True
        await self._ended.wait()
        if self._lifeline >= 0:
            self._sock.close()
            os.close(self._lifeline)
            os.close(self._words)
            self._lifeline = -1


class Executor:
    """The slots of this worker. *module* is what a child runs; tests bring a wicked one."""

    def __init__(self, slots: int, memory_bytes: int, module: str = CHILD) -> None:
        self.slots = slots
        self._memory_bytes, self._module = memory_bytes, module
        self._places: list[asyncio.Task[Child]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self.child_ready = asyncio.Event()

    async def start(self) -> None:
        self._places = [self._begin() for _ in range(self.slots)]
        await asyncio.gather(*self._places)

    @property
    def ready(self) -> int:
        """How many children wait for work. One that still starts is seconds away: others should have the work."""
        return sum(place.done() for place in self._places)

    def _begin(self) -> asyncio.Task[Child]:
        place = asyncio.create_task(self._started())
        place.add_done_callback(lambda _: self.child_ready.set())
        return place

    async def _started(self) -> Child:
        while True:
            try:
                return await Child.start(self._memory_bytes, self._module)
            except (ChildDied, OutOfMemory, OSError) as error:
                log.warning("child.waits", error=str(error))
                await asyncio.sleep(START_AGAIN_SECONDS)

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        """Lend a living child of a slot that the caller has taken. A new one takes a dead one's place at once, while the caller goes on."""
        place = max(self._places, key=lambda place: place.done())
        self._places.remove(place)
        try:
            child = await asyncio.shield(place)
            if not child.alive:
                place = self._kept(place)
                child = await asyncio.shield(place)
            yield child
        finally:
            self._places.append(self._kept(place))

    def _kept(self, place: asyncio.Task[Child]) -> asyncio.Task[Child]:
        if not place.done() or place.result().alive:
            return place
        task = asyncio.create_task(place.result().stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return self._begin()

    async def close(self) -> None:
        places, self._places = self._places, []
        for place in places:
            if not place.done():
                place.cancel()
        await asyncio.gather(*places, return_exceptions=True)
        living = [place.result() for place in places if not place.cancelled() and place.exception() is None]
        await asyncio.gather(*self._ending, *(child.stop() for child in living))


def child_environment() -> dict[str, str]:
    """What a child may know: no URLs, no passwords; one thread for every numeric library."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
        if name in os.environ
    }
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    return {**kept, **threads, **_MEMORY}


def _raise_reported(header: dict[str, Any]) -> None:
    if "widen" in header:
        raise SchemaWidened(header["detail"], header["widen"])
    if "problem" in header:
        if "traceback" in header:
            log.error("child.bug", traceback=header["traceback"])
        raise from_problem(header["problem"])
