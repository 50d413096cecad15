"""Columns of blocks of records, window by window, by the native library: see native/source/windows.c."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from worker_service.arrow import Array, Ints
from worker_service.native import Library
from worker_service.readers.csv import bits
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.fields import Column, Fields
from worker_service.readers.targets import (
    MOST_BYTES,
    MOST_CODES,
    SLACK,
    WINDOW,
    ColumnReader,
    Structs,
    Target,
)

ONE_OF = 8
"""A block of which more records are bad than one of so many is not read."""
_LF = b"\n"[0]
_STATE = 256
"""Bytes that `gm_window` takes at most."""
_ASK = 1

ODD = np.dtype(
    [(name, np.int32) for name in (
        "record", "start", "stop", "fields", "row", "column", "first", "last", "quoted"
    )]
)  # fmt: skip
"""`gm_odd`. The record has another number of `fields`, or a text of a column is refused."""
Odd = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Windows:
    """The `columns` by name, of so many `rows`, which are those of the `records` that are not `odd`.

    Texts may be dictionary-encoded. `feeds` counts all line feeds, `flags` are those of `gm_scan`. `odd` are
    in the order of the file.
    """

    columns: dict[str, Array]
    rows: int
    feeds: int
    flags: int
    records: int
    odd: Odd


class Decided(NamedTuple):
    """About refused rows: which of them are `bad`, and for some columns rows and their values."""

    bad: Sequence[int]
    good: Sequence[tuple[int, Ints, Array]]


Decide = Callable[[Odd], Decided | None]
"""About the rows of a window, with all columns that refuse each. None: the block cannot be read so."""


class WindowReader(ColumnReader):
    """Reads the *columns* of the blocks of a file of *width* columns."""

    def __init__(self, native: Library, dialect: Dialect, width: int, columns: Sequence[Column]) -> None:
        last = width - 1
        super().__init__(native, [Target(each, native, last=each.number == last) for each in columns])
        self._dialect, self._width = dialect, width
        rows = WINDOW // width + 2
        self._found = np.empty(WINDOW + width + SLACK, np.int32)
        self._base = np.arange(rows, dtype=np.int32) * np.int32(width)
        self._loose, self._numbers = np.empty(rows, np.int32), np.empty(rows, np.int32)
        self._bad = np.empty(rows, np.uint8)

    def read(self, block: Block, decide: Decide) -> Windows | None:
        """None: the block cannot be read so. *decide* may be asked again about the same rows."""
        if not 0 < block.size < MOST_BYTES:
            return None
        odd = np.empty(0, ODD)

        def attempt(structs: Structs, room: int) -> tuple[int, list[int]]:
            nonlocal odd
            outcome, told, odd = self._tried(block, room, structs, decide)
            return outcome, told

        outcome, told, structs = self._read(block.size, partial(_records, block), attempt)
        if outcome:
            for target in self.targets:
                target.forget()
            return None
        rows, feeds, flags, records, *_, done = told
        columns = self._arrays(structs, rows, done)
        return Windows(columns, rows, feeds, flags, records, odd[np.argsort(odd["record"], kind="stable")])

    def _tried(self, block: Block, room: int, structs: Structs, decide: Decide) -> tuple[int, list[int], Odd]:
        """The result of `gm_windows`, its figures, and the odd records. ASK: *decide* gave up."""
        data, masked = np.frombuffer(block.data, np.uint8), np.frombuffer(block.masked, np.uint8)
        told, state, quote = np.zeros(7, np.int64), np.zeros(_STATE, np.uint8), self._dialect.quote
        odd, asked = np.empty(room // ONE_OF + 1, ODD), np.empty(room // ONE_OF + 1, ODD)
        fields = Fields(
            data=data.ctypes.data,
            masked=masked.ctypes.data,
            limit=data.size,
            found=self._found.ctypes.data,
            quote=quote[0] if quote else -1,
        )
        arrays = self._base, self._loose, self._numbers, self._bad, odd, asked
        while True:
            outcome = self._native.gm_windows(
                ctypes.byref(fields),
                state.ctypes.data,
                block.size,
                self._dialect.delimiter[0],
                self._width,
                WINDOW,
                ctypes.byref(structs),
                len(structs),
                room,
                MOST_CODES,
                *(array.ctypes.data for array in arrays),
                odd.size,
                told.ctypes.data,
            )
            verdict = decide(asked[: told[5]]) if outcome == _ASK else None
            if verdict is None:
                return outcome, told.tolist(), odd[: told[4]]
            self._bad[list(verdict.bad)] = 1
            for column, rows, values in verdict.good:
                self.targets[column].put(int(told[0]), rows, values)


def _records(block: Block) -> int:
    """At most so many records are in *block*."""
    return bits.occurrences(np.frombuffer(block.masked, np.uint8)[: block.size], _LF) + 1
