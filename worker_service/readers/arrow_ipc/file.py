"""Arrow IPC as pyarrow opens it: a file, whose footer has the record batches, or a stream of them."""

from collections.abc import Sequence

import pyarrow as pa

from worker_service.readers.bytes.local import RandomAccess, SourceFile, pread

FILE, _STREAM = b"ARROW1\0\0", b"\xff\xff\xff\xff"
KIND = "Arrow IPC data"
_MAX_SCHEMA = 64 * 1024 * 1024
"""Bytes of a stream's schema."""


def begins_arrow(start: bytes) -> bool:
    """Whether content that begins with *start* is an Arrow IPC file or stream."""
    schema = int.from_bytes(start[4:8], "little")
    is_stream = start.startswith(_STREAM) and 0 < schema <= _MAX_SCHEMA and schema % 8 == 0
    return is_stream or start.startswith(FILE)


def is_stream(file: SourceFile) -> bool:
    return not pread(file, 0, len(FILE)).startswith(FILE)


def schema_of(file: SourceFile) -> pa.Schema:
    """Raises the errors of pyarrow."""
    opened = pa.ipc.open_stream if is_stream(file) else pa.ipc.open_file
    return opened(RandomAccess(file)).schema


def options(included: Sequence[int]) -> pa.ipc.IpcReadOptions:
    """For the top-level fields *included*; without any, for all."""
    return pa.ipc.IpcReadOptions(included_fields=list(included), use_threads=False)
