"""The texts of sampled columns by the native library, and whether they are literals of a type.

A value that the library takes is a literal. The functions of the plain path decide about those it refuses.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import STRING, Field
from worker_service.arrow import Array, Ints
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.batches import native
from worker_service.readers.csv.native.converter import Converter
from worker_service.readers.csv.native.refused import Native
from worker_service.readers.csv.native.separators import separated
from worker_service.readers.fields import NUL, column
from worker_service.readers.literals import fits


@dataclass(frozen=True, slots=True)
class NativeSamples:
    """The undeclared columns of some blocks."""

    native: Native
    blocks: Sequence[Converter]

    def texts(self, names: Collection[str]) -> dict[str, Array] | None:
        """As `tokenize` gives them, without quotes; None where a text is not UTF-8."""
        found = {}
        for name in names:
            read = self._read(Field(name, STRING))
            if read is None or read[1].size:
                return None
            found[name] = read[0]
        return found

    def holds(self, name: str) -> Callable[[Array, Field, SourceSpec], bool]:
        """`fits` for the texts of a column, to which its first argument belongs."""

        def holds(text: Array, field: Field, source: SourceSpec) -> bool:
            read = self._read(replace(field, name=name))
            if read is None:
                return fits(text, field, source)
            return not read[1].size or fits(text.take(pa.array(read[1])), field, source)

        return holds

    def _read(self, field: Field) -> tuple[Array, Ints] | None:
        """The values of *field* and the rows that are refused; None where the library does not know it."""
        number = self.native.file.names.index(field.column)
        known = column(field, number, self.native.source)
        if known is None or known.marks:
            return None
        arrays, refused, rows = list[Array](), [np.empty(0, np.int64)], 0
        for block in self.blocks:
            read, wrong = block.column(known)
            arrays.append(read)
            refused.append(wrong + rows)
            rows += block.rows
        return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays), np.concatenate(refused)


def samples(blocks: Sequence[Block], file: CsvFile, source: SourceSpec) -> NativeSamples | None:
    """None where the plain path has to read a block."""
    found = native(file, [], source)
    if found is None or not blocks:
        return None
    converters = []
    for block in blocks:
        fields = separated(block, file.dialect, len(file.names), found.library)
        if fields is None or fields.flags & NUL:
            return None
        converters.append(Converter(found.library, file, block, fields))
    return NativeSamples(found, converters)
