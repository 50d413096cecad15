"""Arrow arrays as numpy arrays and back, without a copy where the memory layouts agree.

Kernels compute with numpy, readers and results are Arrow. A number goes over as it lies in memory. A bool, an
integer, a date (days) and a time (microseconds) go over as int64. A double goes over as float64, a decimal as
its scaled integer. Nulls go over beside the numbers, as a mask; a number below a null is arbitrary.
"""

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shared.errors import InternalError
from shared.spec.types import DataType

Array: TypeAlias = "pa.Array[Any]"
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

_NEGATIVE_ZERO = np.iinfo(np.int64).min
"""The bits of -0.0."""
_ARROW: dict[str, "pa.DataType"] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.utf8(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
}


def arrow_type(kind: DataType) -> "pa.DataType":
    if kind.array:
        return pa.list_(arrow_type(replace(kind, array=False)))
    return pa.decimal128(kind.precision, kind.scale) if kind.kind == "decimal" else _ARROW[kind.kind]


def as_array(column: "pa.ChunkedArray[Any]") -> Array:
    """The whole column as one array; chunks with different dictionaries get a common one."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def is_string(array: Array) -> bool:
    """Strings, plain or dictionary-encoded: no other type comes with a dictionary."""
    return bool(pa.types.is_dictionary(array.type) or pa.types.is_string(array.type))


def is_wide(array: Array) -> bool:
    """Decimals that may need more than 64 bits, for which `numbers_of` has no room."""
    return bool(pa.types.is_decimal(array.type) and array.type.precision > 18)


def with_dictionary(array: Array) -> "pa.DictionaryArray[Any, Any]":
    """The same values, dictionary-encoded; the dictionary itself holds no null."""
    if isinstance(array, pa.DictionaryArray) and array.dictionary.null_count:
        array = array.dictionary_decode()
    return array if isinstance(array, pa.DictionaryArray) else array.dictionary_encode()


def without_dictionary(array: Array) -> Array:
    """Strings as utf8, the one form in which states and results hold them; other arrays as they are."""
    return array.cast(pa.utf8()) if pa.types.is_dictionary(array.type) else array


def validity(array: Array) -> Mask | None:
    """True where a value is not null; None when there is no null.

    A null among a dictionary's values counts as null.
    """
    if isinstance(array, pa.DictionaryArray) and array.dictionary.null_count:
        array = array.dictionary_decode()
    if not array.null_count:
        return None
    bits = array.buffers()[0]
    return np.zeros(len(array), np.bool_) if bits is None else _unpacked(bits, array)


def true(condition: Array) -> Mask:
    """Where a bool is true: not false and not null."""
    bits, valid = condition.buffers()[1], validity(condition)
    if bits is None or not len(condition):
        return np.zeros(len(condition), np.bool_)
    found = _unpacked(bits, condition)
    return found if valid is None else found & valid


def from_mask(mask: Mask) -> Array:
    """An array of bools; Arrow's own way from numpy takes ten times as long."""
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, packed(mask)])


def packed(mask: Mask) -> "pa.Buffer":
    """As a bitmap of Arrow."""
    return pa.py_buffer(np.packbits(mask, bitorder="little"))


def _unpacked(bits: "pa.Buffer", array: Array) -> Mask:
    """A bitmap of *array*, whose offset holds for it."""
    skipped, start = divmod(array.offset, 8)
    octets = np.frombuffer(bits, np.uint8, -(-(start + len(array)) // 8), skipped)
    found = np.unpackbits(octets, count=start + len(array), bitorder="little")
    return found[start:].view(np.bool_)


def numbers_of(array: Array) -> Any:
    """float64 of doubles, int64 of all else; arbitrary below a null.

    Raises InternalError for decimals that are wide (see `is_wide`).
    """
    kind = array.type
    if pa.types.is_boolean(kind):
        return numbers_of(array.cast(pa.int8()))
    if pa.types.is_decimal(kind):
        if is_wide(array):
            raise InternalError(f"{kind} does not fit the 64-bit kernels")
        return int128_words(array)[0].view(np.int64)
    if pa.types.is_floating(kind):
        return _view(array, np.dtype("<f8"))
    return _view(array, np.dtype(f"<i{kind.bit_width // 8}")).astype(np.int64, copy=False)


def int128_words(array: Array) -> tuple[NDArray[np.uint64], Ints]:
    """The scaled integers of decimals as (low, high) 64-bit words of their two's complement."""
    pairs = _view(array, np.dtype([("low", "<u8"), ("high", "<i8")]))
    return np.ascontiguousarray(pairs["low"]), np.ascontiguousarray(pairs["high"])


def _view(array: Array, dtype: "np.dtype[Any]") -> Any:
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


def string_bytes(array: Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Offsets and bytes of a utf8 array: string i is bytes[offsets[i]:offsets[i + 1]].

    There is one offset more than strings. A null may cover bytes.
    """
    _, offsets, data = array.buffers()
    if offsets is None or not len(array):
        return np.zeros(len(array) + 1, np.int32), np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, "<i4", len(array) + 1, array.offset * 4)
    return bounds, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


def from_numbers(kind: "pa.DataType", numbers: NDArray[Any], present: Mask | None = None) -> Array:
    """The inverse of `numbers_of`: an array of type *kind*, null where *present* is False."""
    if pa.types.is_boolean(kind):
        bitmap = None if present is None or present.all() else packed(present)
        bits = packed(numbers.astype(np.bool_, copy=False))
        return pa.Array.from_buffers(kind, len(numbers), [bitmap, bits])
    if pa.types.is_decimal(kind):
        whole = numbers.astype(np.int64)
        return from_int128_words(kind, whole.view(np.uint64), whole >> 63, present)
    width = np.dtype("<f8") if pa.types.is_floating(kind) else np.dtype(f"<i{kind.bit_width // 8}")
    return _from_buffer(kind, np.ascontiguousarray(numbers, width), len(numbers), present)


def from_int128_words(
    kind: "pa.DataType", low: NDArray[np.uint64], high: Ints, present: Mask | None = None
) -> Array:
    """The inverse of `int128_words`: decimals of the scaled integers high * 2**64 + low."""
    words = np.empty((len(low), 2), "<u8")
    words[:, 0], words[:, 1] = low, high.view(np.uint64)
    return _from_buffer(kind, words, len(low), present)


def _from_buffer(kind: "pa.DataType", data: NDArray[Any], rows: int, present: Mask | None) -> Array:
    bitmap = None if present is None or present.all() else packed(present)
    return pa.Array.from_buffers(kind, rows, [bitmap, pa.py_buffer(data)])


def canonical(array: Array) -> Array:
    """The same values; doubles with one zero and one NaN."""
    if not pa.types.is_floating(array.type):
        return array
    found = numbers_of(array)
    if not (np.isnan(found).any() or (found.view(np.int64) == _NEGATIVE_ZERO).any()):
        return array
    return from_numbers(array.type, canonical_floats(found), validity(array))


def canonical_floats(numbers: Floats) -> Floats:
    """The same numbers with one zero and one NaN."""
    numbers = numbers + 0.0  # turns -0.0 into 0.0
    numbers[np.isnan(numbers)] = np.nan
    return numbers
