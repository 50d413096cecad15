"""The SHA-256 of result rows as canonical bytes, the same for every chunking, worker count and machine."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker_service.arrow import (
    Array,
    Ints,
    Mask,
    canonical_floats,
    int128_words,
    is_string,
    numbers_of,
    string_bytes,
    validity,
    without_dictionary,
)
from worker_service.native import library
from worker_service.native.columns import NativeColumns, native_columns

_INTEGER = np.dtype([("tag", "u1"), ("low", "<u8"), ("high", "<i8")])


def bucket_digests(table: pa.Table, buckets: Ints) -> dict[int, bytes]:
    """SHA-256 of the canonical bytes of each bucket's rows; *buckets* is the ascending bucket of each row."""
    if not len(buckets):
        return {}
    columns, bounds = (
        [column.chunk(0) for column in table.columns],
        np.flatnonzero(np.diff(buckets, prepend=-1, append=-1)),
    )
    ranges = list(pairwise(bounds.tolist()))
    native = native_columns([without_dictionary(column) for column in columns]) if library() else None
    parts = _native_rows(native, ranges) if native else _rows(columns, ranges)
    return {
        int(buckets[start]): hashlib.sha256(part).digest()
        for (start, _), part in zip(ranges, parts, strict=True)
    }


def _native_rows(columns: NativeColumns, ranges: Sequence[tuple[int, int]]) -> Iterator[memoryview]:
    """The canonical bytes of ranges of rows, each valid until the next."""
    native = library()
    assert native is not None
    buffer, given = np.empty(0, np.uint8), (columns.address, len(columns))
    for start, end in ranges:
        if (room := native.gm_room(*given, start, end)) > len(buffer):
            buffer = np.empty(room, np.uint8)
        yield buffer[: native.gm_canonical_rows(*given, start, end, buffer.ctypes.data)].data


def _rows(columns: Sequence[Array], ranges: Sequence[tuple[int, int]]) -> Iterator[memoryview]:
    """The same without the native library."""
    _, offsets, data = _joined([part for column in columns for part in _canonical(column)]).buffers()
    starts, view = np.frombuffer(offsets, "<i8"), memoryview(data)
    return (view[starts[start] : starts[end]] for start, end in ranges)


def _canonical(array: Array) -> list["pa.LargeBinaryArray"]:
    """A tag byte, 0 for null and 1 for a value, then the value: as one or two columns to be joined."""
    present = validity(array)
    if pa.types.is_list(array.type):
        return _arrays(array, present)
    if is_string(array):
        return _strings(without_dictionary(array), present)
    records = np.zeros(len(array), _record(array))
    records["tag"] = 1 if present is None else present
    if pa.types.is_decimal(array.type):
        records["low"], records["high"] = int128_words(array)
    elif pa.types.is_int64(array.type):
        records["low"], records["high"] = numbers_of(array).view(np.uint64), numbers_of(array) >> 63
    else:
        records["value"] = (
            canonical_floats(numbers_of(array)) if pa.types.is_floating(array.type) else numbers_of(array)
        )
    return [_packed(records, present)]


def _record(array: Array) -> "np.dtype[np.void]":
    """Little-endian, no gaps: integers and decimals 16 bytes, doubles and timestamps 8, dates 4, bools 1."""
    if pa.types.is_decimal(array.type) or pa.types.is_int64(array.type):
        return _INTEGER
    kind = "<f8" if pa.types.is_floating(array.type) else f"<i{max(array.type.bit_width // 8, 1)}"
    return np.dtype([("tag", "u1"), ("value", kind)])


def _packed(records: "NDArray[np.void]", present: Mask | None) -> "pa.LargeBinaryArray":
    """The records' bytes; for a null only the tag."""
    width, size = records.dtype.itemsize, len(records)
    data = records.view(np.uint8).reshape(size, width)
    if present is None:
        return _binary(np.arange(0, width * (size + 1), width), data)
    kept = np.ones((size, width), np.bool_)
    kept[:, 1:] = present[:, None]
    return _binary(np.concatenate([[0], np.cumsum(np.where(present, width, 1))]), data[kept])


def _strings(strings: Array, present: Mask | None) -> list["pa.LargeBinaryArray"]:
    """Tag, length (4 bytes), then the UTF-8 bytes."""
    records = np.zeros(len(strings), np.dtype([("tag", "u1"), ("length", "<u4")]))
    records["tag"] = 1 if present is None else present
    records["length"] = np.diff(string_bytes(strings)[0])
    return [_packed(records, present), strings.fill_null("").cast(pa.large_binary())]


def _arrays(arrays: Array, present: Mask | None) -> list["pa.LargeBinaryArray"]:
    """Tag, number of elements (4 bytes), then the canonical bytes of the elements."""
    records = np.zeros(len(arrays), np.dtype([("tag", "u1"), ("length", "<u4")]))
    records["tag"] = 1 if present is None else present
    records["length"] = pc.list_value_length(arrays).fill_null(0)
    if not records["length"].any():
        return [_packed(records, present)]
    _, offsets, data = _joined(_canonical(arrays.flatten())).buffers()
    ends = np.concatenate([[0], np.cumsum(records["length"], dtype=np.int64)])
    return [
        _packed(records, present),
        _binary(np.frombuffer(offsets, "<i8")[ends], np.frombuffer(data, np.uint8)),
    ]


def _joined(parts: list["pa.LargeBinaryArray"]) -> "pa.LargeBinaryArray":
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))


def _binary(offsets: Ints, data: "NDArray[np.uint8]") -> "pa.LargeBinaryArray":
    buffers = [
        None,
        pa.py_buffer(np.ascontiguousarray(offsets, "<i8")),
        pa.py_buffer(np.ascontiguousarray(data)),
    ]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
