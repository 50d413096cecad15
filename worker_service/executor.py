"""The child processes: one owned child a slot, replaced when it dies, killed when its work is no longer wanted."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from shared.errors import SchemaWidened, from_problem
from worker_service.child import wire

_MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
}
"""glibc's allocator, told to keep and reuse the memory of batches: fresh pages for each would take as long as the parsing of CSV."""

log = structlog.get_logger()


class ChildDied(Exception):
    """The process ended in the middle of a unit: killed, crashed or out of memory."""


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
    """One child process; runs one request at a time."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket, lifeline: int) -> None:
        self._process = process
        self._sock = sock
        self._lifeline = lifeline

    @classmethod
    async def start(cls, memory_bytes: int) -> "Child":
        ours, theirs = socket.socketpair()
        read_end, lifeline = os.pipe()
        ours.setblocking(False)
        arguments = [str(n) for n in (theirs.fileno(), read_end, os.getpid(), memory_bytes)]
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "worker_service.child", *arguments,
                pass_fds=(theirs.fileno(), read_end), env=_environment(), stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except BaseException:
            ours.close()
            os.close(lifeline)
            raise
        finally:
            theirs.close()
            os.close(read_end)
        child = cls(process, ours, lifeline)
        try:
            await child._done()
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _done(self) -> None:
        try:
            said = await asyncio.get_running_loop().sock_recv(self._sock, 1)
        except ConnectionError:
            said = b""
        if said != b".":
            code = await self._process.wait()
            raise ChildDied(f"The child process ended with {_named(code)}")

    @asynccontextmanager
    async def run(self, request: dict[str, Any], files: list[int], allowed: timedelta) -> AsyncIterator[Answer]:
        """Run one request and lend its answer. Raises the error that the child reports, ChildDied, or TimeoutError after *allowed*.

        A caller that stops waiting (cancel, lost lease) leaves a busy child behind, which is killed: CPU work
        cannot be stopped otherwise.
        """
        asked = wire.memory_file("request", json.dumps(request).encode())
        answered = wire.memory_file("answer")
        try:
            try:
                wire.send_descriptors(self._sock, [asked, answered, *files])
                async with asyncio.timeout(allowed.total_seconds()):
                    await self._done()
            except ConnectionError as error:
                raise ChildDied("The child process is gone") from error
            except BaseException:
                await self.stop()
                raise
            header, offset = wire.read_header(answered)
            _raise_reported(header)
            yield Answer(header, answered, offset)
        finally:
            os.close(asked)
            os.close(answered)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self.close()

    def close(self) -> None:
        if self._lifeline >= 0:
            self._sock.close()
            os.close(self._lifeline)
            self._lifeline = -1


class Executor:
    """The slots of this worker."""

    def __init__(self, slots: int, memory_bytes: int) -> None:
        self.slots = slots
        self._memory_bytes = memory_bytes
        self._idle: list[Child] = []

    async def start(self) -> None:
        self._idle = list(await asyncio.gather(*(Child.start(self._memory_bytes) for _ in range(self.slots))))

    @asynccontextmanager
    async def child(self) -> AsyncIterator[Child]:
        """Lend a living child of a slot that the caller has taken."""
        child = self._idle.pop() if self._idle else await Child.start(self._memory_bytes)
        if not child.alive:
            child.close()
            child = await Child.start(self._memory_bytes)
        try:
            yield child
        finally:
            if child.alive:
                self._idle.append(child)
            else:
                child.close()

    async def close(self) -> None:
        await asyncio.gather(*(child.stop() for child in self._idle))
        self._idle.clear()


def _environment() -> dict[str, str]:
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


def _named(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
