"""Reads the statements that a client runs from a copy of its bytes: a part of the Postgres protocol."""

import struct
from collections.abc import Callable

STARTUP = 196608
READ_WHOLE = b"QPB"


class Frontend:
    """Fed with what one client sends; knows its application name and the statements since the last BEGIN.

    `on_commit` and `on_copy` are called while a feed is under way, before its bytes are forwarded.
    """

    def __init__(self, on_statement: Callable[[str], None], on_copy: Callable[[], None]) -> None:
        self.application_name = ""
        self._on_statement, self._on_copy = on_statement, on_copy
        self._started = False
        self._buffer = bytearray()
        self._skip = 0
        self._prepared: dict[bytes, str] = {}

    def feed(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        while self._one():
            pass

    def _one(self) -> bool:
        """Take one message from the buffer, or the head of one whose body does not matter."""
        head = 1 if self._started else 0
        if len(self._buffer) < head + 4:
            return False
        size = head + struct.unpack_from("!I", self._buffer, head)[0]
        kind = bytes(self._buffer[:head])
        whole = not self._started or kind in READ_WHOLE
        if whole and len(self._buffer) < size:
            return False
        body = bytes(self._buffer[head + 4 : size]) if whole else b""
        self._skip = max(0, size - len(self._buffer))
        del self._buffer[:size]
        self._message(kind, body)
        return True

    def _message(self, kind: bytes, body: bytes) -> None:
        if not self._started:
            if struct.unpack_from("!I", body)[0] == STARTUP:  # before it may come a request for TLS
                self._started = True
                words = body[4:].split(b"\0")
                self.application_name = (
                    dict(zip(words[::2], words[1::2], strict=False)).get(b"application_name", b"").decode()
                )
        elif kind == b"Q":
            self._on_statement(body.rstrip(b"\0").decode())
        elif kind == b"P":
            name, sql, *_ = body.split(b"\0", 2)
            self._prepared[name] = sql.decode()
        elif kind == b"B":
            _, name, *_ = body.split(b"\0", 2)
            self._on_statement(self._prepared.get(name, ""))
        elif kind == b"d":
            self._on_copy()
