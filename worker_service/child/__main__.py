"""`python -m worker_service.child FD RIGHTS PARENT MEMORY`: the template.

It forks a child of PARENT whenever FD, a socket, asks it to.

Descriptor RIGHTS is a file in which it lists the rights that it and its children have given up.

It answers each message with a byte. A message without descriptors asks for nothing else.

A child gets a socket, a pipe that ends with its parent, and a file for its standard error. It runs the tasks
that come over the socket until the parent is gone.
"""

import faulthandler
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from shared.process import PR_SET_NAME, PR_SET_PDEATHSIG, isolate, prctl
from worker_service.executors.processes.channel import DONE, MemoryFile, receive_descriptors
from worker_service.native import library

TASKS = "worker_service.child.tasks"
NAME = "gristmill-child"
"""The name that `ps -o comm` shows; at most 15 bytes."""


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the parent dies.

    A parent that died before the call counts too.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit(memory_bytes: int) -> None:
    """Bound the data segment: a greedy task gets MemoryError, and the kernel never has to choose a victim."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def watch_parent(descriptor: int) -> None:
    """A second guard: the pipe ends when the parent does. PDEATHSIG follows the thread that forked."""

    def watch() -> None:
        os.read(descriptor, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def fork_child(sock: socket.socket, descriptors: list[int], parent: int, memory_bytes: int) -> None:
    """Fork twice: a child whose own parent has ended is given to *parent*, which can wait for it.

    *parent* has asked the kernel for orphans.
    """
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    between = os.getpid()
    child = os.fork()
    if child:
        with suppress(BrokenPipeError, ConnectionResetError):  # the parent has gone: the child ends by itself
            os.write(descriptors[0], child.to_bytes(8, "little"))
        os._exit(0)
    while (now := os.getppid()) != parent:
        if now != between:
            os._exit(1)
        time.sleep(0.001)
    sock.close()
    run_child(descriptors, parent, memory_bytes)


def run_child(descriptors: list[int], parent: int, memory_bytes: int) -> None:
    """A child's whole life. It ends the process."""
    sock_fd, pipe_fd, stderr_fd = descriptors
    prctl(PR_SET_NAME, NAME.encode())
    die_with_parent(parent)
    os.dup2(stderr_fd, sys.stderr.fileno())  # the parent reads it
    try:
        watch_parent(pipe_fd)
        limit(memory_bytes)
        serve(socket.socket(fileno=sock_fd))
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)
    except BaseException as error:  # noqa: BLE001  # a child must never become a second template
        traceback.print_exc()
        os._exit(2 if isinstance(error, MemoryError) else 3)
    os._exit(0)


def serve(sock: socket.socket) -> None:
    from worker_service.child import tasks  # noqa: PLC0415  # the template has loaded it

    sock.send(DONE)
    while (descriptors := receive_descriptors(sock)) is not None:
        task, outcome, body, *attachment = map(MemoryFile, descriptors)
        try:
            _reply(outcome, body, *tasks.answer(task.read_all(), *attachment))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        sock.send(DONE)


def _reply(outcome: MemoryFile, body: MemoryFile, message: bytes, parts: list[bytes]) -> None:
    """In a frame of its own: no part of the answer stays in memory during the next task."""
    outcome.write(message)
    for part in parts:
        body.write(part)


def main() -> None:
    sock_fd, rights_fd, parent, memory_bytes = (int(text) for text in sys.argv[1:])
    faulthandler.enable()
    # of the template and its forks, the kernel takes the largest first
    Path("/proc/self/oom_score_adj").write_text("1000")
    MemoryFile(rights_fd).write(json.dumps(isolate()).encode())
    os.close(rights_fd)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to all of a group, they are the parent's to handle
    die_with_parent(parent)
    import_module(TASKS)  # a second, in which the parent may die
    library()  # once, for all forks
    # The modules stay for good. Without this, every full collection walks them, for tens of milliseconds, and
    # unshares their pages.
    gc.collect()
    gc.freeze()
    sock = socket.socket(fileno=sock_fd)
    while (descriptors := receive_descriptors(sock)) is not None:
        if descriptors:
            fork_child(sock, descriptors, parent, memory_bytes)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(BrokenPipeError, ConnectionResetError):  # the parent has gone; the next look tells
            sock.send(DONE)  # nothing else tells the parent that this process is not frozen


if __name__ == "__main__":
    main()
