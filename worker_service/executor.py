"""The child processes: one owned child a slot, replaced when it dies, killed when its work is no longer wanted."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from shared.errors import GristmillError, OutOfMemory, Preempted, SchemaWidened, from_problem
from worker_service.child import wire
from worker_service.deaths import Death
from worker_service.template import CHILD, Template

MAX_WORDS = 8192
START_AGAIN_SECONDS = 1.0
BIRTH_SECONDS = 60.0
END_SECONDS = 5.0
_PID_BYTES = 8
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
    """One child process, a fork of the template; runs one request at a time. Made by `start`."""

    def __init__(self, pid: int, memory_bytes: int, sock: socket.socket, words: int) -> None:
        self.pid = pid
        self._memory_bytes, self._sock, self._words = memory_bytes, sock, words
        self.death: Death | None = None
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
    async def start(cls, template: Template) -> "Child":
        """Raises OSError if the template is gone.

        Who cancels it leaves a child that ends by itself, and that nobody waits for.
        """
        with ExitStack() as given, ExitStack() as ours:
            sock, theirs = socket.socketpair()
            ours.callback(sock.close)
            given.callback(theirs.close)
            sock.setblocking(False)
            read_end, lifeline = os.pipe()
            ours.callback(os.close, lifeline)
            given.callback(os.close, read_end)
            words = wire.memory_file("words")
            ours.callback(os.close, words)
            fcntl.fcntl(words, fcntl.F_SETFL, os.O_APPEND)
            template.fork([theirs.fileno(), read_end, words])
            given.close()
            born = await asyncio.get_running_loop().sock_recv(sock, _PID_BYTES)
            if len(born) < _PID_BYTES:
                raise OSError(f"the template ended ({template.fate})")
            ready = await _word(
                sock
            )  # or its end: in both cases it is our child now, and no longer the template's
            child = cls(int.from_bytes(born, "little"), template.memory_bytes, sock, words)
            child._open.push(ours.pop_all())
        try:
            await child._expect(ready)
        except BaseException:
            await child.stop()
            raise
        return child

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
        self.death = Death(
            os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, self._memory_bytes, self._said()
        )
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._ended.set()

    def _said(self) -> str:
        """The end of what it wrote to its standard error since the last call."""
        size = os.fstat(self._words).st_size
        said = os.pread(self._words, MAX_WORDS, max(0, size - MAX_WORDS)).decode(errors="replace")
        os.ftruncate(self._words, 0)
        if said:
            log.warning("child.said", child=self.pid, text=said)
        return said

    async def _expect(self, word: bytes) -> None:
        if word != b".":
            await self._fail()

    async def _fail(self) -> None:
        """Wait for the end that the socket's has announced, and raise what it means."""
        await self._ended.wait()
        assert self.death is not None
        if self._preempted:
            raise Preempted("Another tenant waits without any slot")
        if self.death.out_of_memory:
            raise OutOfMemory(f"The child process ended with {self.death}")
        raise ChildDied(f"The child process ended with {self.death}")

    @asynccontextmanager
    async def run(
        self, request: dict[str, Any], files: list[int], allowed: timedelta
    ) -> AsyncIterator[Answer]:
        """Run one request and lend its answer.

        Raises the error that the child reports, OutOfMemory, ChildDied, or TimeoutError after *allowed*.

        A caller that stops waiting (cancel, lost lease) leaves a busy child behind, which is killed: CPU work
        cannot be stopped otherwise. So is one that ran out of memory: what it holds may be in pieces.
        """
        with ExitStack() as lent:
            asked = wire.memory_file("request", json.dumps(request).encode())
            lent.callback(os.close, asked)
            answered = wire.memory_file("answer")
            lent.callback(os.close, answered)
            try:
                self._computing = True
                async with asyncio.timeout(allowed.total_seconds()):
                    await self._ask([asked, answered, *files])
                self._computing = False
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

    async def _ask(self, descriptors: list[int]) -> None:
        try:
            wire.send_descriptors(self._sock, descriptors)
        except ConnectionError:
            await self._fail()
        await self._expect(await _word(self._sock))
        self._said()

    def preempt(self) -> bool:
        """Kill it if it computes: `run` raises Preempted.

        What has answered is being committed, and is let alone.
        """
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


async def _word(sock: socket.socket) -> bytes:
    """The next byte that the child says; nothing if it is gone."""
    try:
        return await asyncio.get_running_loop().sock_recv(sock, 1)
    except ConnectionError:
        return b""


class Executor:
    """The slots of this worker. *module* is what the template runs; tests bring a wicked one."""

    def __init__(self, slots: int, memory_bytes: int, module: str = CHILD) -> None:
        self.slots = slots
        self._memory_bytes, self._module = memory_bytes, module
        self._template: Template | None = None
        self._closing = asyncio.Event()
        self._places: list[asyncio.Task[Child]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self.child_ready = asyncio.Event()

    def prepare(self) -> None:
        """Begin to load what children need; `start` waits for it."""
        with suppress(OSError):  # `start` tries again, and says why
            self._living_template()

    async def start(self) -> None:
        self._places = [self._begin() for _ in range(self.slots)]
        begun, _ = await asyncio.wait(self._places)  # unlike gather it leaves them alone if it is cancelled
        for place in begun:
            place.result()

    @property
    def rights(self) -> dict[str, str]:
        """What the children have given up, once `start` has returned."""
        return self._template.rights if self._template is not None else {}

    @property
    def ready(self) -> int:
        """How many children wait for work.

        One that still starts is seconds away: others should have the work.
        """
        return sum(place.done() for place in self._places)

    def _begin(self) -> asyncio.Task[Child]:
        place = asyncio.create_task(self._started())
        place.add_done_callback(lambda _: self.child_ready.set())
        return place

    async def _started(self) -> Child:
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(BIRTH_SECONDS):
                    return await Child.start(self._living_template())
            except (ChildDied, OutOfMemory, OSError) as error:
                if self._closing.is_set():
                    break
                if isinstance(error, TimeoutError) and self._template is not None:
                    self._template.close()  # frozen: the next try makes another
                log.warning("child.waits", error=str(error) or "the template does not answer")
                await asyncio.sleep(START_AGAIN_SECONDS)
        raise asyncio.CancelledError

    async def tend(self) -> None:
        """Called again and again: replace a template that does not answer, before a slot needs it."""
        template = self._template
        if (
            self._closing.is_set()
            or template is None
            or not template.alive
            or template.answers(time.monotonic())
        ):
            return
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
    async def child(self) -> AsyncIterator[Child]:
        """Lend a living child of a slot that the caller has taken.

        A new one takes a dead one's place at once, while the caller goes on.
        """
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
        self._closing.set()
        if self._template is not None:
            self._template.close()  # nobody is born any more
        if not self._places:
            return
        born, stuck = await asyncio.wait(self._places, timeout=END_SECONDS)
        for place in stuck:
            log.error("child.stuck")  # it dies with this process
            place.cancel()
        children = [place.result() for place in born if not place.cancelled() and place.exception() is None]
        await asyncio.gather(*self._ending, *(child.stop() for child in children))


def _raise_reported(header: dict[str, Any]) -> None:
    if "widen" in header:
        raise SchemaWidened(header["detail"], header["widen"])
    if "problem" in header:
        if "traceback" in header:
            log.error("child.bug", traceback=header["traceback"])
        raise from_problem(header["problem"])
