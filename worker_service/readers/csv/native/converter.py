"""Converts single columns of one block whose separators are known."""

import numpy as np
import numpy.typing as npt

from worker_service.arrow import Array, Ints
from worker_service.native import Library
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.separators import Separated
from worker_service.readers.fields import Column, Fields, values


class Converter:
    """Converts columns of *block*, whose separators are *found*, except those of its odd records."""

    def __init__(self, library: Library, file: CsvFile, block: Block, found: Separated) -> None:
        self._library, self._width = library, len(file.names)
        data, masked = np.frombuffer(block.data, np.uint8), np.frombuffer(block.masked, np.uint8)
        base = np.delete(found.first, found.odd) if found.odd.size else np.ascontiguousarray(found.first)
        quote, self._marks = file.dialect.quote, np.zeros(base.size, np.bool_)
        self._arrays: tuple[npt.NDArray[np.generic], ...] = data, masked, found.found, base
        self._fields = Fields(
            data=data.ctypes.data,
            masked=masked.ctypes.data,
            limit=data.size,
            found=found.found.ctypes.data,
            base=base.ctypes.data,
            rows=base.size,
            refused=self._marks.ctypes.data,
            quote=quote[0] if quote else -1,
            flags=found.flags,
        )

    @property
    def rows(self) -> int:
        return int(self._marks.size)

    def column(self, of: Column) -> tuple[Array, Ints]:
        """The values, and the rows that are refused, whose values mean nothing."""
        self._fields.last = of.number == self._width - 1
        self._marks[:] = False
        return values(self._fields, of, self._library), np.flatnonzero(self._marks)
