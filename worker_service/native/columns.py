"""Arrow columns as the native functions read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Array: TypeAlias = "pa.Array[Any]"

_FIELDS = 9
_BOOL, _INT64, _DOUBLE, _DECIMAL, _DATE, _TIME, _STRING, _LIST = range(8)
_OIDS = {_BOOL: 16, _INT64: 20, _DOUBLE: 701, _DECIMAL: 1700, _DATE: 1082, _TIME: 1114, _STRING: 25}
_TIMESTAMPTZ = 1184


@dataclass(frozen=True, slots=True)
class NativeColumns:
    """`struct Column` for each of some arrays of equal length; valid while this object lives."""

    structs: NDArray[np.int64]
    rows: int
    _kept: tuple[object, ...]

    @property
    def address(self) -> int:
        return int(self.structs.ctypes.data)

    def __len__(self) -> int:
        return len(self.structs)


def native_columns(arrays: Sequence[Array]) -> NativeColumns | None:
    """None where an array has a type that the native functions do not know."""
    structs, kept = np.zeros((len(arrays), _FIELDS), np.int64), list[object](arrays)
    for struct, array in zip(structs, arrays, strict=True):
        kind = _kind(array.type)
        if kind is None:
            return None
        validity, *buffers = array.buffers()[:3]
        if array.null_count and validity is not None:
            struct[1:3] = validity.address, array.offset
        zone = kind == _TIME and array.type.tz is not None
        struct[0], struct[8] = kind, _TIMESTAMPTZ if zone else _OIDS.get(kind, 0)
        if kind == _LIST:
            items = native_columns([array.values])
            if items is None or items.structs[0, 0] == _LIST:
                return None
            kept.append(items)
            struct[5:7] = _offsets(array, buffers[0], kept), items.address
        elif kind == _STRING:
            struct[5] = _offsets(array, buffers[0], kept)
            data = buffers[1]
            struct[3] = struct[5] if data is None else data.address
        elif kind == _BOOL:
            struct[3:5] = _address(buffers[0]), array.offset
        else:
            struct[3] = _address(buffers[0]) + array.offset * array.type.bit_width // 8
        struct[7] = array.type.scale if kind == _DECIMAL else 0
    return NativeColumns(structs, len(arrays[0]) if arrays else 0, tuple(kept))


def _kind(of: "pa.DataType") -> int | None:
    if pa.types.is_decimal128(of):
        return _DECIMAL
    if pa.types.is_timestamp(of):
        return _TIME if of.unit == "us" else None
    if pa.types.is_list(of):
        return _LIST
    return {
        pa.bool_(): _BOOL,
        pa.int64(): _INT64,
        pa.float64(): _DOUBLE,
        pa.date32(): _DATE,
        pa.utf8(): _STRING,
    }.get(of)


def _offsets(array: Array, buffer: "pa.Buffer | None", kept: list[object]) -> int:
    """The address of the offset of the first row; an empty array may have none."""
    if buffer is None or not len(array):
        none = np.zeros(1, np.int32)
        kept.append(none)
        return int(none.ctypes.data)
    return int(buffer.address + 4 * array.offset)


def _address(buffer: "pa.Buffer | None") -> int:
    return 0 if buffer is None else int(buffer.address)
