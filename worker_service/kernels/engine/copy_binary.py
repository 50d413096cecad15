"""Result rows as the binary format that Postgres' COPY reads, made by the native library."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from worker_service.arrow import as_array, without_dictionary
from worker_service.kernels.engine.finalize import Finalized
from worker_service.native import library
from worker_service.native.columns import NativeColumns, native_columns

_BEGIN, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_ROWS = 1 << 14
"""Rows that are made at a time."""


def to_copy_binary(finalized: Finalized) -> list[bytes] | None:
    """`_id` and the columns for COPY ... (FORMAT binary), in parts; None where only CSV can be made.

    Postgres takes each field only if the table's column has exactly its type.
    """
    if library() is None:
        return None
    columns = [without_dictionary(as_array(column)) for column in finalized.table.columns]
    made = native_columns([pa.array(finalized.ids), *columns])
    return None if made is None else [_BEGIN, *_rows(made), _END]


def _rows(columns: NativeColumns) -> Iterator[bytes]:
    native, buffer = library(), np.empty(0, np.uint8)
    assert native is not None
    for start in range(0, columns.rows, _ROWS):
        block = (columns.address, len(columns), start, min(start + _ROWS, columns.rows))
        if (room := native.gm_room(*block)) > len(buffer):
            buffer = np.empty(room, np.uint8)
        size = native.gm_copy_rows(*block, buffer.ctypes.data)
        yield buffer[:size].tobytes()
