"""The template: a process that has loaded pandas and the rest, and does nothing but fork.

Every child is its fork, so that a new one is there at once.
"""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

from shared.process import adopt_orphans
from worker_service.executors.processes.channel import MemoryFile, send_descriptors

CHILD_PROGRAM = "worker_service.child"
LOAD_SECONDS = 60.0
FROZEN_SECONDS = 5.0
"""A fork takes milliseconds."""
_ALLOCATOR = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
}
"""glibc's allocator, told to keep and reuse the memory of batches.

Fresh pages for each batch would take as long as the parsing of CSV. jemalloc is loaded but not used, and gets
no thread: a process that forks must have only one.
"""


class Template:
    """Made in the main thread: the kernel's parent-death signal follows a thread.

    *module* is the program that it runs; tests bring their own.

    It forks twice for a child. If it is killed between the two, the process in between stays a zombie until
    this process ends.
    """

    def __init__(self, memory_bytes: int, module: str = CHILD_PROGRAM) -> None:
        self.memory_bytes = memory_bytes
        self._unanswered, self._asked_at, self._loaded = 0, time.monotonic(), False
        adopt_orphans()
        with ExitStack() as kept, ExitStack() as given:
            self._sock, theirs = socket.socketpair()
            kept.callback(self._sock.close)
            given.callback(theirs.close)
            self._rights = MemoryFile.create("rights")
            kept.callback(self._rights.close)
            descriptors = theirs.fileno(), self._rights.descriptor
            arguments = [str(n) for n in (*descriptors, os.getpid(), memory_bytes)]
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                pass_fds=descriptors, env=child_environment(), stdin=subprocess.DEVNULL,
            )  # fmt: skip
            self._open = kept.pop_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def rights(self) -> dict[str, str]:
        """The rights that it and its forks have given up (`shared.process.isolate`); empty before it has."""
        found: dict[str, str] = json.loads(self._rights.read_all() or b"{}")
        return found

    def fork(self, descriptors: list[int]) -> None:
        """Ask for a child that gets *descriptors*; the first is a socket, on which its pid comes back.

        Raises OSError if the template is gone.
        """
        self._ask(descriptors)

    def answers(self, now: float) -> bool:
        """Whether it still answers, as far as one can tell at *now*. Asks it for another answer."""
        limit = FROZEN_SECONDS if self._loaded else LOAD_SECONDS
        if self.unanswered() and now - self._asked_at > limit:
            return False
        with suppress(OSError):  # it has ended, which is noticed elsewhere
            self._ask([])
        return True

    def _ask(self, descriptors: list[int]) -> None:
        """The template answers each message with a byte, once it is done."""
        if not self.unanswered():
            self._asked_at = time.monotonic()
        self._unanswered += 1
        send_descriptors(self._sock, descriptors)

    def unanswered(self) -> int:
        """How many messages it has not answered yet."""
        with suppress(OSError):
            answers = len(self._sock.recv(4096, socket.MSG_DONTWAIT))
            self._unanswered -= answers
            self._loaded = self._loaded or answers > 0
        return self._unanswered

    def close(self) -> None:
        self._open.close()
        self._process.kill()
        self._process.wait()


_KEPT = (
    *("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
    "GRISTMILL_NATIVE",
)


def child_environment() -> dict[str, str]:
    """The variables that a child may know: no URLs, no passwords. One thread for every numeric library."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    )
    return {**kept, **threads, **_ALLOCATOR}
