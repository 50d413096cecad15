"""How a parent and a child talk over a socket pair: descriptors carry everything, bytes only say "go" and "done".

Request: any number of messages `+` with at most 200 descriptors each, then `!`. The first descriptor holds the request as
JSON, the second takes the answer, the rest are the task's files. Answer: an 8-byte little-endian length, a JSON header of that
length, then the body; `.` on the socket says that it is whole. The descriptors are of memory, so no message can block.
"""

import array
import json
import os
import socket
from typing import Any

FDS_PER_MESSAGE = 200  # the kernel's limit is 253
_LONG = frozenset({"chunks"})
"""Lists whose elements travel as texts: to make objects of 100,000 chunks would delay the parent's heartbeat."""


def send_descriptors(sock: socket.socket, descriptors: list[int]) -> None:
    for start in range(0, len(descriptors), FDS_PER_MESSAGE):
        socket.send_fds(sock, [b"+"], descriptors[start : start + FDS_PER_MESSAGE])
    sock.send(b"!")


def receive_descriptors(sock: socket.socket) -> list[int] | None:
    """The descriptors of one request, or None when the parent is gone."""
    descriptors: list[int] = []
    size = array.array("i").itemsize
    while True:
        data, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(FDS_PER_MESSAGE * size))
        if not data:
            return None
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors += array.array("i", payload[: len(payload) - len(payload) % size])
        if data == b"!":
            return descriptors


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
