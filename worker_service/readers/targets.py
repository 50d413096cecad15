"""Where the values of columns of text go, block after block: the twins of native/source/fields.h.

A format of text finds the fields of a block; `ColumnReader` gives the library room for their values.
"""

import ctypes
import weakref
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.spec.types import Kind
from worker_service.arrow import Array, Ints, arrow_type, packed, true, validity
from worker_service.native import Library
from worker_service.readers.fields import Column

WINDOW = 1 << 18
"""Bytes that are scanned before their columns are converted: they are still in the cache then."""
MOST_CODES = 1 << 12
"""A string column with more different texts is not dictionary-encoded: its table would leave the cache."""
_REPEATS = 4
"""Nor is one of which a text occurs less often on average in a block."""
MOST_BYTES = 2**31 - 64
"""A block must be smaller: positions in it have 32 bits."""
SLACK = 72
"""Rows and separators of room beyond those that are expected."""
_ALONE = 4
"""After so many columns of many texts, one by one, all are taken as they are: no block is begun for each."""
_MISFITS, _LONGEST, _END = 32, 32, 255
"""Texts that the library knows as misfits: how many, and how long each may be."""
_MANY_ROWS, _LONG_TEXTS, _MANY_TEXTS, _NO_MEMORY = range(-2, -6, -1)
_TOO_LITTLE = {_MANY_ROWS, _LONG_TEXTS, _MANY_TEXTS, _NO_MEMORY}
"""Outcomes that more room, or another way to take a column, mends."""
_KINDS: dict[Kind, int] = {
    "bool": 0, "int64": 1, "float64": 2, "decimal": 3, "date": 4,
    "timestamp": 5, "timestamptz": 5, "string": 6,
}  # fmt: skip
_CODES = 7
"""Numbers of `gm_kind`."""
_WIDTHS: dict[Kind, int] = {"bool": 1, "decimal": 16, "date": 4, "string": 4}
"""Bytes of a value of another kind: 8."""


class ColumnStruct(ctypes.Structure):
    """`gm_column` of native/source/fields.h; the arrays behind the addresses are the caller's."""

    _fields_ = [  # ctypes reads it
        *((name, ctypes.c_void_p) for name in ("spelled", "owned", "out", "null", "refused")),
        *((name, ctypes.c_void_p) for name in ("texts", "table")),
        ("room", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("known", "around", "between")),
        *((name, ctypes.c_int64) for name in ("missing", "before", "total")),
        *((name, ctypes.c_int32) for name in ("kind", "column", "last", "point", "strict")),
        *((name, ctypes.c_int32) for name in ("first", "second", "unquoted", "marks")),
    ]


class _Texts:
    """The texts of a column so far: text i has code i, in the order of first occurrence."""

    def __init__(self, native: Library) -> None:
        self._native, self.table = native, native.gm_keys_new(2)
        if not self.table:
            raise MemoryError
        weakref.finalize(self, native.gm_keys_free, self.table)
        self._array: Array = pa.array([], pa.utf8())

    def array(self) -> Array:
        size = self._native.gm_keys_size(self.table)
        if size != len(self._array):
            offsets = pa.allocate_buffer(4 * (size + 1))
            texts = pa.allocate_buffer(self._native.gm_keys_texts(self.table, None, None))
            self._native.gm_keys_texts(self.table, offsets.address, texts.address)
            self._array = pa.Array.from_buffers(pa.utf8(), size, [None, offsets, texts], 0)
        return self._array


class Target:
    """Where the values of one column go, block after block."""

    def __init__(
        self, column: Column, native: Library, *, last: bool = False, unquoted: bool = False
    ) -> None:
        kind = column.field.type
        names = ("spelled", "owned", "around", "between")
        self._kept = {name: np.frombuffer(getattr(column, name), np.uint8) for name in names}
        self.column, self.kind = column, kind.kind
        self._codes = _Texts(native) if self.kind == "string" else None
        self._share = 0.0
        """The most of a block's bytes that texts took."""
        self._null: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._refused = np.zeros(0, np.uint8)
        self._known = np.full(_MISFITS * (1 + _LONGEST) + 1, _END, np.uint8)
        self._learned = self._at = 0
        self._given = {
            **{name: spellings.ctypes.data for name, spellings in self._kept.items()},
            "kind": _KINDS[self.kind] if self._codes is None else _CODES,
            "column": column.number,
            "last": last,
            "point": column.point,
            "strict": column.strict,
            "first": int(self.kind == "timestamptz") if self.kind.startswith("time") else kind.precision,
            "second": kind.scale,
            "unquoted": unquoted,
            "marks": column.marks,
        }

    def struct(self, rows: int, size: int) -> ColumnStruct:
        """With room for *rows* rows of a block of *size* bytes."""
        if self._null.size < rows:
            self._null, self._refused = np.empty(rows, np.uint8), np.zeros(rows, np.uint8)
        self._out = pa.allocate_buffer((rows + 1) * _WIDTHS.get(self.kind, 8))
        plain = self.kind == "string" and self._codes is None
        room = int(size * self._share * 1.1) + 2 * WINDOW if plain else 0
        self._bytes = pa.allocate_buffer(room, resizable=True) if plain else None
        return ColumnStruct(
            out=self._out.address,
            null=self._null.ctypes.data,
            refused=self._refused.ctypes.data,
            texts=self._bytes.address if self._bytes else None,
            room=room,
            known=self._known.ctypes.data,
            table=self._codes.table if self._codes else None,
            **self._given,
        )

    def learn(self, struct: ColumnStruct, done: int) -> None:
        """How many octets of texts there are in *done* bytes."""
        self._share = max(self._share, struct.total / done)

    def uncoded(self) -> None:
        """Take texts as they are, from the next block on."""
        if self._codes is not None:
            self._codes, self._given["kind"] = None, _KINDS["string"]

    def array(self, struct: ColumnStruct, rows: int) -> Array:
        """The values; this object does not keep them."""
        kind, out, texts = arrow_type(self.column.field.type), self._out, self._bytes
        del self._out, self._bytes
        bitmap = packed(self._null[:rows] == 0) if struct.missing else None
        if self._codes is not None:
            known = self._codes.array()
            if len(known) * _REPEATS > rows:
                self.uncoded()
            coded = pa.dictionary(pa.int32(), kind)
            return pa.DictionaryArray.from_buffers(coded, rows, [bitmap, out], known, struct.missing)
        values = [out]
        if texts is not None:
            texts.resize(struct.total)
            values.append(texts)
        elif self.kind == "bool":
            values = [packed(np.frombuffer(out, np.bool_, rows))]
        return pa.Array.from_buffers(kind, rows, [bitmap, *values], struct.missing)

    def learn_misfits(self, texts: Iterable[bytes]) -> None:
        """The library does not ask about them again, if they are few and short."""
        for text in texts:
            if len(text) <= _LONGEST and self._learned < _MISFITS:
                spelled = bytes([len(text)]) + text
                self._known[self._at : self._at + len(spelled)] = np.frombuffer(spelled, np.uint8)
                self._learned, self._at = self._learned + 1, self._at + len(spelled)

    def put(self, row: int, rows: Ints, values: Array) -> None:
        """Put *values* at *rows* of the window that begins at *row*; they are of no string."""
        at, present = row + rows, validity(values)
        self._null[at] = 0 if present is None else ~present
        if self.kind == "bool":
            np.frombuffer(self._out, np.bool_)[at] = true(values)
            return
        width = _WIDTHS.get(self.kind, 8)
        given = np.frombuffer(
            values.buffers()[1], np.dtype((np.void, width)), len(values), values.offset * width
        )
        np.frombuffer(self._out, np.dtype((np.void, width)))[at] = given

    def forget(self) -> None:
        """Clear the marks of a block that could not be read."""
        self._refused[:] = 0


Structs = ctypes.Array[ColumnStruct]
Attempt = Callable[[Structs, int], tuple[int, list[int]]]
"""Reads a block into structs with room for so many rows. Gives the outcome and its figures."""


class ColumnReader:
    """Reads columns of blocks into `targets`. Learns how much room they need."""

    def __init__(self, native: Library, targets: Sequence[Target]) -> None:
        self._native, self.targets = native, targets
        self._row_bytes = 0.0
        self._uncoded = 0
        """So many blocks were begun again for a column of many texts."""

    def _read(
        self, size: int, most_rows: Callable[[], int], attempt: Attempt
    ) -> tuple[int, list[int], Structs]:
        """The last attempt at a block of *size* bytes, with at most so many rows; others had too little room.

        Its outcome is none that room would mend. The fourth of its figures is the number of records.
        """
        room = int(size / self._row_bytes * 1.05) + SLACK if self._row_bytes else most_rows()
        while True:
            structs: Structs = (ColumnStruct * len(self.targets))()
            for i, target in enumerate(self.targets):
                structs[i] = target.struct(room, size)
            outcome, told = attempt(structs, room)
            if outcome == 0:
                self._row_bytes = size / max(told[3], 1)
            if outcome not in _TOO_LITTLE:
                return outcome, told, structs
            for target in self.targets:
                target.forget()
            room = most_rows() if outcome == _MANY_ROWS else room
            self._adapt(outcome, structs, told)

    def _adapt(self, outcome: int, structs: Structs, told: list[int]) -> None:
        """Adapt to a block that could not be read."""
        if outcome == _NO_MEMORY:
            raise MemoryError
        if outcome == _MANY_TEXTS:
            self._uncoded += 1
            alone = [self.targets[told[0]]]
            for target in alone if self._uncoded <= _ALONE else self.targets:
                target.uncoded()
        if outcome == _LONG_TEXTS:
            for target, struct in zip(self.targets, structs, strict=True):
                target.learn(struct, told[6])

    def _arrays(self, structs: Structs, rows: int, done: int) -> dict[str, Array]:
        """The columns by name, read of *done* bytes."""
        made = dict[str, Array]()
        for target, struct in zip(self.targets, structs, strict=True):
            target.learn(struct, done)
            made[target.column.field.name] = target.array(struct, rows)
        return made
