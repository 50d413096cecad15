"""Many lines of NDJSON at once, by the native library: exactly as `exact` defines them.

The library finds the values of the columns, and converts their texts as those of CSV. Some lines it refuses.
"""

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.spec.column_text import ColumnText
from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.arrow import Array, Ints, Mask
from worker_service.native import Library, library
from worker_service.readers.fields import Column, Fields, column
from worker_service.readers.ndjson.content import Block
from worker_service.readers.targets import (
    MOST_BYTES,
    MOST_CODES,
    SLACK,
    WINDOW,
    ColumnReader,
    Structs,
    Target,
)

_STRING, _NUMBER, _BOOL, _EMPTY = 1, 2, 4, 8
"""Kinds of values, as `gm_lines` takes them."""
_TEXT = _STRING | _NUMBER | _BOOL
_MOST_KEYS, _LONGEST, _END = 64, 254, b"\xff"
LINES = 1 << 12
"""Lines whose values are converted at a time."""


class Read(NamedTuple):
    """The columns of all lines of a block, and the lines that are refused, whose values mean nothing."""

    columns: list[Array]
    rows: int
    refused: Ints


class LineReader(ColumnReader):
    """Reads *columns* of lines: the values of *keys*, of the *kinds* that each may have."""

    def __init__(self, native: Library, columns: Sequence[Column], keys: bytes, kinds: bytes) -> None:
        unquoted = [not kinds[column.number // 2] & _STRING for column in columns]
        targets = zip(columns, unquoted, strict=True)
        super().__init__(native, [Target(column, native, unquoted=each) for column, each in targets])
        self._keys, self._kinds = keys, kinds
        self._ends = np.empty(WINDOW + SLACK, np.int32)
        self._base = np.arange(LINES, dtype=np.int32) * np.int32(2 * len(kinds))
        self._found = np.empty(2 * len(kinds) * LINES + 1, np.int32)

    def read(self, block: Block) -> Read | None:
        """None for a block that is too large."""
        if not 0 < block.size < MOST_BYTES:
            return None
        refused = np.empty(0, np.bool_)

        def attempt(structs: Structs, room: int) -> tuple[int, list[int]]:
            nonlocal refused
            refused = np.empty(room, np.bool_)
            return self._tried(block, structs, refused)

        outcome, told, structs = self._read(block.size, lambda: block.line_feeds() + 1, attempt)
        assert not outcome
        rows = told[0]
        columns = list(self._arrays(structs, rows, block.size).values())
        return Read(columns, rows, np.flatnonzero(refused[:rows]))

    def _tried(self, block: Block, structs: Structs, refused: Mask) -> tuple[int, list[int]]:
        data, told = np.frombuffer(block.data, np.uint8), np.zeros(7, np.int64)
        for struct in structs:
            struct.refused = refused.ctypes.data
        fields = Fields(
            data=data.ctypes.data,
            masked=data.ctypes.data,
            limit=data.size,
            found=self._found.ctypes.data,
        )
        outcome = self._native.gm_lines(
            ctypes.byref(fields),
            block.size,
            self._keys,
            self._kinds,
            len(self._kinds),
            WINDOW,
            ctypes.byref(structs),
            len(structs),
            refused.size,
            MOST_CODES,
            self._base.ctypes.data,
            LINES,
            self._ends.ctypes.data,
            refused.ctypes.data,
            told.ctypes.data,
        )
        return outcome, told.tolist()


def line_reader(fields: Sequence[Field], source: SourceSpec) -> LineReader | None:
    """None: the library does not know how to read some field. A key with a dot may be a path."""
    loaded, keys = library(), list(dict.fromkeys(field.column for field in fields))
    if loaded is None or len(keys) > _MOST_KEYS:
        return None
    # Field j of a record lies between the positions 2 j and 2 j + 1.
    columns = [column(field, 2 * keys.index(field.column), source) for field in fields]
    raw = [key.encode() for key in keys]
    unlike = any("." in key or '"' in key or "\\" in key or not key.isprintable() for key in keys)
    if unlike or None in columns or any(len(key) > _LONGEST for key in raw):
        return None
    kinds = dict[str, int]()
    for field in fields:
        kinds[field.column] = kinds.get(field.column, _TEXT | _EMPTY) & _kinds(field, source)
    return LineReader(
        loaded,
        [known for known in columns if known is not None],
        b"".join(bytes([len(key)]) + key for key in raw) + _END,
        bytes(kinds[key] for key in keys),
    )


def _kinds(field: Field, source: SourceSpec) -> int:
    """The values whose text alone has a meaning. Marks of numbers are for texts."""
    if field.type.kind == "string":
        return _TEXT | _EMPTY
    if not field.declared:
        return _BOOL if field.type.kind == "bool" else _NUMBER
    given = source.types.get(field.column)
    marked = isinstance(given, ColumnText) and (given.decimal or given.thousands or given.negative != ("-5",))
    return _STRING if marked else _TEXT
