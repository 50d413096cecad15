"""Where the records and fields of a block are, found by the native library."""

import ctypes
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker_service.native import Library
from worker_service.readers.csv import bits
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect

Indices = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]

CARRIAGE_RETURN, LONE_RETURN, NUL, QUOTE = 1, 2, 4, 16
"""Flags of `gm_scan`."""
_MOST = 2**31 - 64
_SLACK = 1024
_LF, _CR = b"\n\r"


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
class Separated:
    """A block in which the separators are `found`.

    Field j of record i lies between the positions found[first[i] + j] and found[first[i] + j + 1], without
    both. `fields` counts those of each record, `feeds` all line feeds. `odd` are the numbers of the records
    that have not as many fields as the header, ascending. `flags` are those of `gm_scan`.
    """

    found: Indices
    first: Indices
    fields: Indices
    odd: Ints
    feeds: int
    flags: int

    def spans(self, records: Ints) -> Ints:
        """The bytes [start, stop) of these records, their line ends included; the last one may have none."""
        first = self.first[records]
        return np.stack([self.found[first], self.found[first + self.fields[records]]], 1).astype(np.int64) + 1


class Scratch:
    """Memory for the positions of one block, used again: fresh pages cost as much as a scan."""

    def __init__(self) -> None:
        self._arrays: dict[str, Indices] = {}

    def room(self, name: str, size: int) -> Indices:
        """At least *size* items of any value; the earlier ones under this *name* are lost."""
        held = self._arrays.get(name)
        if held is None or held.size < size:
            self._arrays.pop(name, None)
            held = self._arrays[name] = np.empty(size + size // 16, np.int32)
        return held


def separated(
    block: Block, dialect: Dialect, width: int, native: Library, scratch: Scratch
) -> Separated | None:
    """The records of *block*, in a file of *width* columns, found in *scratch*.

    None: a lone carriage return ends a record, or the block has more separators than its counts tell.
    """
    if block.size >= _MOST:
        return None
    octets = np.frombuffer(block.masked, np.uint8)
    if width > 1:
        records = block.delimiters // (width - 1) + 1
        records += records // 8
    else:
        records = bits.occurrences(octets[: block.size], _LF) + 1
    found = scratch.room("found", block.delimiters + records + _SLACK)
    lines = scratch.room("lines", records + _SLACK)
    told = np.empty(3, np.int64)
    flags: int = native.gm_scan(
        octets.ctypes.data,
        block.size,
        dialect.delimiter[0],
        dialect.quote[0] if dialect.quote else -1,
        found.ctypes.data,
        lines.ctypes.data,
        found.size,
        lines.size,
        told.ctypes.data,
    )
    if flags < 0 or flags & LONE_RETURN:
        return None
    separators, ended, feeds = told.tolist()
    found, lines = found[: separators + 1], lines[: ended + 1]
    first, fields = lines[:-1], np.diff(lines)
    odd = np.flatnonzero(fields != width)
    if odd.size and width > 1:  # an empty line is a record of a one-column file only
        alone = odd[fields[odd] == 1]
        start, stop = found[first[alone]] + 1, found[first[alone] + 1]
        returned = (stop == start + 1) & (octets[np.minimum(start, octets.size - 1)] == _CR)
        empty = alone[(stop == start) | returned]
        if empty.size:
            first, fields = np.delete(first, empty), np.delete(fields, empty)
            odd = np.flatnonzero(fields != width)
    return Separated(found, first, fields, odd, feeds, flags)
