"""Texts as Arrow arrays, by the native library: the fields of CSV, and the members of JSON objects."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import Field, Kind
from worker_service.arrow import Array, arrow_type, packed
from worker_service.native import Library

_NUMBERS: tuple[Kind, ...] = ("int64", "float64", "decimal")
_DESCRIBED: dict[Kind, tuple[str, ...]] = {
    "bool": ("true", "false"),
    **dict.fromkeys(_NUMBERS, ("percent", "lenient")),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), ("format",)),
    "string": ("strip",),
}
"""Options of a column that the library does not know, beside `trim`."""
_KEY, _UNDECLARED, _UTC = 1, 2, 4
"""Bits of `gm_fields.strict`."""
_MARKED, _SIGNS = 1, {"(5)": 2, "5-": 4}
"""Bits of `gm_marks`."""
_SPELLINGS, _LONGEST, _END = 32, 254, b"\xff"


CARRIAGE_RETURN, LONE_RETURN, NUL, QUOTE = 1, 2, 4, 16
"""Bits of `gm_fields.flags`."""


class Fields(ctypes.Structure):
    """`gm_fields` of native/source/fields.h; the arrays behind the addresses are the caller's."""

    _fields_ = [  # ctypes reads it
        *((name, ctypes.c_void_p) for name in ("data", "masked")),
        ("limit", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("found", "base")),
        ("rows", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("spelled", "owned", "null", "refused")),
        *((name, ctypes.c_int32) for name in ("column", "last", "quote", "point", "strict", "flags")),
    ]


@dataclass(frozen=True, slots=True)
class Column:
    """How the field of each record at `number`, from 0, becomes a value of `field`.

    `spelled` and `owned` are spellings of null, of the file and of the column, as `gm_fields` takes them.
    `around` are the characters that may stand around a value, and `between` is the one between groups of
    digits. `marks` are bits of `gm_marks`.
    """

    field: Field
    number: int
    spelled: bytes
    owned: bytes
    around: bytes
    between: bytes
    point: int
    strict: int
    marks: int


def column(field: Field, number: int, source: SourceSpec) -> Column | None:
    """None: the library does not know how *source* says that the column is written."""
    how, kind = source.written(field.column, field.type), field.type.kind
    if kind not in _DESCRIBED or how.trim or any(getattr(how, name) for name in _DESCRIBED[kind]):
        return None
    own = not (field.key and not field.declared)  # else marks of numbers mean nothing, see `literals`
    numeric = own and kind in _NUMBERS
    point = how.decimal if numeric and how.decimal else "."
    spelled, owned = _spellings(source.csv.null_values), _spellings(how.null_values)
    around, between = _spellings(how.strip or ""), _spellings(how.thousands or "" if numeric else "")
    if spelled is None or owned is None or around is None or between is None:
        return None
    if "-5" not in how.negative or not point.isascii():
        return None
    marks = sum(bit for spelling, bit in _SIGNS.items() if spelling in how.negative)
    if marks or around != _END or between != _END:
        marks |= _MARKED
    strict = _KEY * (not own) | _UNDECLARED * (not field.declared)
    strict |= _UTC * (field.declared and source.timezone == "UTC")
    return Column(field, number, spelled, owned, around, between, ord(point), strict, marks)


def _spellings(texts: Sequence[str]) -> bytes | None:
    raw = [text.encode() for text in texts]
    if len(raw) > _SPELLINGS or any(len(text) > _LONGEST for text in raw):
        return None
    return b"".join(bytes([len(text)]) + text for text in raw) + _END


def values(fields: Fields, column: Column, native: Library) -> Array:
    """The column of the rows of *fields*; null also in the rows that it refuses. It has no marks of its own.

    *fields* has everything but the values that depend on the column. `refused` has one octet for each row.
    """
    spelled, owned = np.frombuffer(column.spelled, np.uint8), np.frombuffer(column.owned, np.uint8)
    null = np.empty(fields.rows, np.uint8)
    fields.spelled, fields.owned, fields.null = (array.ctypes.data for array in (spelled, owned, null))
    fields.column, fields.point, fields.strict = column.number, column.point, column.strict
    buffers, missing = _CONVERSIONS[column.field.type.kind](fields, column.field, native)
    bitmap = packed(null == 0) if missing else None
    return pa.Array.from_buffers(arrow_type(column.field.type), fields.rows, [bitmap, *buffers], missing)


_Converted = tuple[list[pa.Buffer], int]


def _fixed(function: str, width: int, *arguments: int) -> Callable[[Fields, Field, Library], _Converted]:
    """Of *width* octets a value."""

    def convert(fields: Fields, _: Field, native: Library) -> _Converted:
        out = pa.allocate_buffer(fields.rows * width)
        missing = getattr(native, function)(ctypes.byref(fields), *arguments, out.address)
        return [out], missing

    return convert


def _decimal(fields: Fields, field: Field, native: Library) -> _Converted:
    return _fixed("gm_decimal", 16, field.type.precision, field.type.scale)(fields, field, native)


def _bool(fields: Fields, _: Field, native: Library) -> _Converted:
    out = np.empty(fields.rows, np.bool_)
    missing = native.gm_bool(ctypes.byref(fields), out.ctypes.data)
    return [packed(out)], missing


def _strings(fields: Fields, _: Field, native: Library) -> _Converted:
    room = native.gm_string_bytes(ctypes.byref(fields))
    offsets, out = pa.allocate_buffer((fields.rows + 1) * 4), pa.allocate_buffer(room, resizable=True)
    missing = native.gm_strings(ctypes.byref(fields), offsets.address, out.address, room)
    out.resize(int(np.frombuffer(offsets, np.int32)[-1]))
    return [offsets, out], missing


_CONVERSIONS: dict[Kind, Callable[[Fields, Field, Library], _Converted]] = {
    "bool": _bool,
    "int64": _fixed("gm_int64", 8),
    "float64": _fixed("gm_float64", 8),
    "decimal": _decimal,
    "date": _fixed("gm_date", 4),
    "timestamp": _fixed("gm_timestamp", 8, 0),
    "timestamptz": _fixed("gm_timestamp", 8, 1),
    "string": _strings,
}
