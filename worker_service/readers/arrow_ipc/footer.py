"""Rows and bytes of the record batches of an Arrow IPC file, from its metadata.

pyarrow gives them only with the data. Metadata are flatbuffers. A table begins with the distance to its
vtable, which has the places of its fields.
"""

import struct
from dataclasses import dataclass

from worker_service.readers.bytes.local import SourceFile, pread

_END = 10
"""Bytes behind the footer: its size, and the magic."""
_FOOTER_BATCHES, _MESSAGE_HEADER, _BATCH_ROWS = 3, 2, 0
"""Numbers of fields."""
_BLOCK = struct.Struct("<qi4xq")
_PREFIX = 8
"""Bytes before the flatbuffer of a message: a mark, and its size."""


@dataclass(frozen=True, slots=True)
class RecordBatch:
    rows: int
    size: int


def record_batches(file: SourceFile) -> list[RecordBatch]:
    """All of *file*, which pyarrow has opened, so that its footer is sound.

    Raises struct.error or ValueError for metadata that lead nowhere.
    """
    size = int.from_bytes(pread(file, file.size - _END, 4), "little")
    footer = pread(file, file.size - _END - size, size)
    at = _field(footer, _root(footer), _FOOTER_BATCHES)
    if at is None:
        return []
    at += _unsigned(footer, at)
    blocks = (_BLOCK.unpack_from(footer, at + 4 + i * _BLOCK.size) for i in range(_unsigned(footer, at)))
    return [RecordBatch(_rows(file, offset, length), body) for offset, length, body in blocks]


def _rows(file: SourceFile, offset: int, length: int) -> int:
    if not 0 <= offset <= offset + length <= file.size:
        raise ValueError(f"a record batch at byte {offset:,} of {file.size:,}")
    message = pread(file, offset, length)[_PREFIX:]
    header = _field(message, _root(message), _MESSAGE_HEADER)
    if header is None:
        raise ValueError(f"the message at byte {offset:,} has no header")
    rows = _field(message, header + _unsigned(message, header), _BATCH_ROWS)
    return 0 if rows is None else int(struct.unpack_from("<q", message, rows)[0])


def _root(data: bytes) -> int:
    return _unsigned(data, 0)


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where field *number* of the table is; None if it has its default."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise ValueError(f"a vtable at {vtable}")
    (size,) = struct.unpack_from("<H", data, vtable)
    (place,) = struct.unpack_from("<H", data, vtable + 4 + 2 * number) if 6 + 2 * number <= size else (0,)
    return table + place if place else None


def _unsigned(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
