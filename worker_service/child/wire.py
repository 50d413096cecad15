"""How a parent and a child talk over a socket pair: descriptors carry everything, bytes only say "go" and "done".

Request: `!` with descriptors. The first holds the request as JSON, the second takes the answer, a third holds
what there is to merge. Answer: an 8-byte little-endian length, a JSON header of that length, then the body;
`.` on the socket says that it is whole. The descriptors are of memory, so no message can block.
"""

import errno
import json
import os
import socket
from typing import Any

MOST_DESCRIPTORS = 8
_LONG = frozenset({"chunks"})
"""Lists whose elements travel as texts: to make objects of 100,000 chunks would delay the parent's heartbeat."""


def send_descriptors(sock: socket.socket, descriptors: list[int]) -> None:
    socket.send_fds(sock, [b"!"], descriptors)


def receive_descriptors(sock: socket.socket) -> list[int] | None:
    """The descriptors of one request, or None when the parent is gone.

    Raises OSError if this process may not have so many.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(sock, 1, MOST_DESCRIPTORS)
    except ConnectionResetError:  # it went without reading the last answers
        return None
    if flags & socket.MSG_CTRUNC:
        raise OSError(
            errno.EMFILE, "No room for the descriptors of a request: raise the worker's `ulimit -n`"
        )
    return descriptors if data else None


def memory_file(name: str, data: bytes = b"") -> int:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    write_all(descriptor, data)
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_exactly(descriptor: int, size: int, offset: int) -> bytes:
    parts = []
    while size > 0:
        part = os.pread(descriptor, min(size, 1 << 30), offset)
        if not part:
            raise EOFError("the answer is shorter than it says")
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)


def write_answer(descriptor: int, header: dict[str, Any], body: list[bytes]) -> None:
    long = {name: [json.dumps(element) for element in header[name]] for name in _LONG & header.keys()}
    encoded = json.dumps(header | long).encode()
    write_all(descriptor, len(encoded).to_bytes(8, "little") + encoded)
    for part in body:
        write_all(descriptor, part)


def read_header(descriptor: int) -> tuple[dict[str, Any], int]:
    """The header, its long lists as texts, and the offset at which the body starts."""
    size = int.from_bytes(read_exactly(descriptor, 8, 0), "little")
    header: dict[str, Any] = json.loads(read_exactly(descriptor, size, 8))
    return header, 8 + size
