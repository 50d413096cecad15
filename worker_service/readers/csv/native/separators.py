"""Where the records and fields of a block are, found by the native library."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker_service.native import Library
from worker_service.readers.csv import bits
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.fields import LONE_RETURN
from worker_service.readers.targets import MOST_BYTES

Indices = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]

_SLACK = 1024
_LF, _CR = b"\n\r"


@dataclass(frozen=True, slots=True)
class Separated:
    """A block in which the separators are `found`.

    Field j of record i lies between the positions found[first[i] + j] and found[first[i] + j + 1], without
    both. `odd` are the numbers of the records that have not as many fields as the header, ascending. `flags`
    are those of `gm_scan`.
    """

    found: Indices
    first: Indices
    odd: Ints
    flags: int


def separated(block: Block, dialect: Dialect, width: int, native: Library) -> Separated | None:
    """The records of *block*, in a file of *width* columns.

    None: a lone carriage return ends a record.
    """
    if block.size >= MOST_BYTES:
        return None
    octets = np.frombuffer(block.masked, np.uint8)
    records = bits.occurrences(octets[: block.size], _LF) + 1
    delimiters = bits.occurrences(octets[: block.size], dialect.delimiter[0])
    found = np.empty(delimiters + records + _SLACK, np.int32)
    lines = np.empty(records + _SLACK, np.int32)
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
    separators, ended, _ = told.tolist()
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
    return Separated(found, first, odd, flags)
