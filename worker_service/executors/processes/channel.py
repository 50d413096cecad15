"""How a parent and a child talk over a socket pair: by descriptors of files in memory.

The bytes on the socket only say "go" and "done". A parent sends `!` with three or four descriptors. They are
the task's message, a file for the outcome's message, a file for the answer's body, and the task's attachment,
if any. The child writes the outcome and the body, and answers `.`. No message can block, because memory files
take any size.
"""

import errno
import os
import socket
from dataclasses import dataclass
from typing import Self

from typing_extensions import Buffer

MAX_DESCRIPTORS = 8
GO, DONE = b"!", b"."


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file in memory, which another process opens by its descriptor."""

    descriptor: int

    @classmethod
    def create(cls, name: str, data: Buffer = b"") -> Self:
        file = cls(os.memfd_create(name, os.MFD_CLOEXEC))
        try:
            file.write(data)
        except BaseException:
            file.close()
            raise
        return file

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def read(self, start: int, size: int) -> bytes:
        """Raises EOFError if it has fewer bytes."""
        parts = []
        while size > 0:
            part = os.pread(self.descriptor, min(size, 1 << 30), start)
            if not part:
                raise EOFError("a message is shorter than it says")
            parts.append(part)
            start, size = start + len(part), size - len(part)
        return b"".join(parts)

    def read_all(self) -> bytes:
        return self.read(0, self.size)

    def close(self) -> None:
        os.close(self.descriptor)


def send_descriptors(sock: socket.socket, descriptors: list[int]) -> None:
    socket.send_fds(sock, [GO], descriptors)


def receive_descriptors(sock: socket.socket) -> list[int] | None:
    """The descriptors of one message, or None when the parent is gone.

    Raises OSError if this process may not have so many.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(sock, len(GO), MAX_DESCRIPTORS)
    except ConnectionResetError:  # the parent went without reading the last answers
        return None
    if flags & socket.MSG_CTRUNC:
        raise OSError(errno.EMFILE, "No room for the descriptors of a task: raise the worker's `ulimit -n`")
    return descriptors if data else None
