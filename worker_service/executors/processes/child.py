"""One child process: it runs tasks one after the other, and is killed when its work is no longer wanted."""

import asyncio
import fcntl
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import timedelta
from typing import cast

import structlog

from shared.errors import (
    GristmillError,
    OutOfMemory,
    Preempted,
    ReaderCrashed,
    SchemaWidened,
    from_problem,
)
from worker_service.executors.processes.channel import DONE, MemoryFile, send_descriptors
from worker_service.executors.processes.exit_status import ExitStatus
from worker_service.executors.processes.template import Template
from worker_service.executors.protocol import Answer, Blob, ChildDied
from worker_service.messages import Failed, Outcome, R, Result, Task, Widened, decode_outcome, encode

MAX_STDERR_BYTES = 8192
_NAMED_FILES = 5
_PID_BYTES = 8
log = structlog.get_logger()


class ChildProcess:
    """A fork of the template, made by `start`."""

    def __init__(self, pid: int, memory_bytes: int, sock: socket.socket, stderr: MemoryFile) -> None:
        self.pid = pid
        self._memory_bytes, self._sock, self._stderr = memory_bytes, sock, stderr
        self.exit_status: ExitStatus | None = None
        self._killed = self._computing = self._preempted = False
        self._ended = asyncio.Event()
        self._open = ExitStack()
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._open.callback(os.close, self._pidfd)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    async def start(cls, template: Template) -> "ChildProcess":
        """Raises OSError if the template is gone, ChildDied or OutOfMemory if the child is.

        A cancelled start leaves a child that ends by itself.
        """
        with ExitStack() as given, ExitStack() as kept:
            sock, theirs = socket.socketpair()
            kept.callback(sock.close)
            given.callback(theirs.close)
            sock.setblocking(False)
            read_end, lifeline = os.pipe()
            kept.callback(os.close, lifeline)
            given.callback(os.close, read_end)
            stderr = MemoryFile.create("stderr")
            kept.callback(stderr.close)
            fcntl.fcntl(stderr.descriptor, fcntl.F_SETFL, os.O_APPEND)
            template.fork([theirs.fileno(), read_end, stderr.descriptor])
            given.close()
            pid = await asyncio.get_running_loop().sock_recv(sock, _PID_BYTES)
            if len(pid) < _PID_BYTES:
                raise OSError(f"the template ended (exit code {template.exit_code})")
            ready = await _next_byte(sock)  # or its end: by then it is our child, and not the template's
            child = cls(int.from_bytes(pid, "little"), template.memory_bytes, sock, stderr)
            child._open.push(kept.pop_all())
        try:
            if ready != DONE:
                await child._raise_exit([])
        except BaseException:
            await child.stop()
            raise
        return child

    @property
    def alive(self) -> bool:
        """False as soon as it is killed, which under load is long before it is gone."""
        self._reap()
        return self.exit_status is None and not self._killed

    def _reap(self) -> None:
        """Asyncio's own way of waiting keeps neither the moment of the exit nor the peak of memory."""
        if self.exit_status is not None:
            return
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return
        code, peak_bytes = os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        self.exit_status = ExitStatus(code, peak_bytes, self._memory_bytes, self._take_stderr())
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._ended.set()

    def _take_stderr(self) -> str:
        """The end of its standard error since the last call; also logged."""
        descriptor = self._stderr.descriptor
        start = max(0, self._stderr.size - MAX_STDERR_BYTES)
        text = os.pread(descriptor, MAX_STDERR_BYTES, start).decode(errors="replace")
        os.ftruncate(descriptor, 0)
        if text:
            log.warning("child.stderr", child=self.pid, text=text)
        return text

    async def _raise_exit(self, uris: list[str]) -> None:
        """The socket has ended: wait for the process, and raise the error for a task about *uris*."""
        await self._ended.wait()
        assert self.exit_status is not None
        text = f"The child process ended with {self.exit_status}"
        if self._preempted:
            raise Preempted("Another tenant waits without any slot")
        if self.exit_status.out_of_memory:
            raise OutOfMemory(text)
        if uris and self.exit_status.crashed_in_reader:
            more = f" and {len(uris) - _NAMED_FILES} more" if len(uris) > _NAMED_FILES else ""
            raise ReaderCrashed(f"{text} while it read {', '.join(uris[:_NAMED_FILES])}{more}")
        raise ChildDied(text)

    def attachment(self) -> closing[MemoryFile]:
        return closing(MemoryFile.create("attachment"))

    @asynccontextmanager
    async def run(
        self, task: Task[R], allowed: timedelta, attachment: Blob | None = None
    ) -> AsyncIterator[Answer[R]]:
        """A caller that stops waiting (cancel, deadline, lost lease) leaves a busy child, which is killed.

        CPU work cannot be stopped otherwise. A child that ran out of memory is killed too: its heap may be
        in fragments.
        """
        with ExitStack() as lent:
            files = []
            for name, data in (("task", encode(task)), ("outcome", b""), ("body", b"")):
                files.append(MemoryFile.create(name, data))
                lent.callback(files[-1].close)
            _, outcome, body = files
            if attachment is not None:
                assert isinstance(attachment, MemoryFile)  # made by `attachment`
                files.append(attachment)
            try:
                self._computing = True
                async with asyncio.timeout(allowed.total_seconds()):
                    await self._compute(files, task.uris)
                self._computing = False
                result = _result(decode_outcome(outcome.read_all()))
            except GristmillError as error:
                if isinstance(error, OutOfMemory):
                    await self.stop()
                raise
            except BaseException:
                await self.stop()
                raise
            yield Answer(cast("R", result), body)

    async def _compute(self, files: list[MemoryFile], uris: list[str]) -> None:
        try:
            send_descriptors(self._sock, [file.descriptor for file in files])
        except ConnectionError:
            await self._raise_exit(uris)
        if await _next_byte(self._sock) != DONE:
            await self._raise_exit(uris)
        self._take_stderr()

    def preempt(self) -> bool:
        """A child that has answered is let alone: its answer is being committed."""
        if not self._computing or not self.alive:
            return False
        self._preempted = True
        self._kill()
        return True

    def _kill(self) -> None:
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._killed = True

    async def stop(self) -> None:
        if self.alive:
            self._kill()
        await self._ended.wait()
        self._open.close()


async def _next_byte(sock: socket.socket) -> bytes:
    """The next byte that the child sends; nothing if it is gone."""
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 1)
    except ConnectionError:
        return b""


def _result(outcome: Outcome) -> Result:
    """Raises the error that the child reports."""
    if isinstance(outcome, Widened):
        raise SchemaWidened(outcome.detail, outcome.types)
    if isinstance(outcome, Failed):
        if outcome.traceback is not None:
            log.error("child.bug", traceback=outcome.traceback)
        raise from_problem(outcome.problem)
    return outcome
