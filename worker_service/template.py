"""The template: a process that has loaded pandas and all the rest, and of which every child is a fork, so that a new one is there at once."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

from shared.process import adopt_orphans
from worker_service.child import wire

CHILD = "worker_service.child"
LOAD_SECONDS = 60.0
FROZEN_SECONDS = 5.0
"""A fork takes milliseconds."""
_MEMORY = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
}
"""glibc's allocator, told to keep and reuse the memory of batches: fresh pages for each would take as long as the parsing of CSV. jemalloc, which is loaded but not used, without its thread: who forks must have only one."""


class Template:
    """Made in the main thread: the kernel's parent-death signal follows a thread.

    *module* is what it runs; tests bring a wicked one.

    It forks twice for a child. If it is killed between the two, what is in between stays a zombie until this
    process ends.
    """

    def __init__(self, memory_bytes: int, module: str = CHILD) -> None:
        self.memory_bytes = memory_bytes
        self._left, self._since, self._loaded = 0, time.monotonic(), False
        adopt_orphans()
        with ExitStack() as made, ExitStack() as given:
            self._sock, theirs = socket.socketpair()
            made.callback(self._sock.close)
            given.callback(theirs.close)
            self._rights = wire.memory_file("rights")
            made.callback(os.close, self._rights)
            descriptors = theirs.fileno(), self._rights
            arguments = [str(n) for n in (*descriptors, os.getpid(), memory_bytes)]
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                pass_fds=descriptors, env=child_environment(), stdin=subprocess.DEVNULL,
            )  # fmt: skip
            self._open = made.pop_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def fate(self) -> str:
        """What became of it, in words."""
        code = self._process.poll()
        return "it lives" if code is None else f"exit code {code}"

    @property
    def rights(self) -> dict[str, str]:
        """What it and its forks have given up (`shared.process.isolate`); empty before it has."""
        told: dict[str, str] = json.loads(os.pread(self._rights, os.fstat(self._rights).st_size, 0) or b"{}")
        return told

    def fork(self, descriptors: list[int]) -> None:
        """Ask for a child that gets *descriptors*; the first is a socket, on which its pid comes back.

        Raises OSError if the template is gone.
        """
        self._ask(descriptors)

    def answers(self, now: float) -> bool:
        """Whether it still does what it is asked to, as far as one can tell at *now*; asks it to answer."""
        if self._unanswered() and now - self._since > (FROZEN_SECONDS if self._loaded else LOAD_SECONDS):
            return False
        with suppress(OSError):  # it has ended, which is noticed elsewhere
            self._ask([])
        return True

    def _ask(self, descriptors: list[int]) -> None:
        """It answers each request with a byte, once it is done."""
        if not self._unanswered():
            self._since = time.monotonic()
        self._left += 1
        wire.send_descriptors(self._sock, descriptors)

    def _unanswered(self) -> int:
        with suppress(OSError):
            heard = len(self._sock.recv(4096, socket.MSG_DONTWAIT))
            self._left -= heard
            self._loaded = self._loaded or heard > 0
        return self._left

    def close(self) -> None:
        self._open.close()
        self._process.kill()
        self._process.wait()


def child_environment() -> dict[str, str]:
    """What a child may know: no URLs, no passwords; one thread for every numeric library."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
        if name in os.environ
    }
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
    )
    return {**kept, **threads, **_MEMORY}
