"""`python -m worker_service.child FD`: serves requests of its parent on the socket FD until the parent is gone."""

import ctypes
import faulthandler
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
import traceback

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the parent dies; a parent that died before the call counts too."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit(memory_bytes: int) -> None:
    """Bound the data segment, so that a greedy unit gets MemoryError and the kernel never has to choose a victim."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  # a kernel interface, not a path to think about
        file.write("1000")


def watch_parent(descriptor: int) -> None:
    """A second guard: the pipe ends when the parent does, and PDEATHSIG follows the thread that forked, not the process."""

    def watch() -> None:
        os.read(descriptor, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def serve(sock: socket.socket) -> None:
    from worker_service.child import tasks, wire  # noqa: PLC0415  # pandas loads after the limits are set

    gc.collect()
    gc.freeze()  # the modules stay for good; without this every full collection walks them, for tens of milliseconds
    sock.send(b".")
    while (descriptors := wire.receive_descriptors(sock)) is not None:
        request, answer, *files = descriptors
        try:
            size = os.fstat(request).st_size
            header, body = tasks.answer(json.loads(wire.read_exactly(request, size, 0)), files)
            wire.write_answer(answer, header, body)
            del header, body
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        sock.send(b".")


def main() -> None:
    sock_fd, pipe_fd, parent, memory_bytes = (int(text) for text in sys.argv[1:])
    faulthandler.enable()  # standard error goes to the parent, which logs the last words
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is the parent's to handle
    die_with_parent(parent)
    watch_parent(pipe_fd)
    limit(memory_bytes)
    try:
        serve(socket.socket(fileno=sock_fd))
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)
    except MemoryError:
        traceback.print_exc()
        os._exit(2)


if __name__ == "__main__":
    main()
