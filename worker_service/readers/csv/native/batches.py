"""Batches by the native library, each the same as that of the plain path, which is `sift`.

A record with a wrong number of fields is bad. A row with a value that the library does not know is refused.
The value may be no literal, or bytes that are no text. The functions of the plain path decide about the
refused rows, see `refused`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import Field
from worker_service.native import library
from worker_service.readers.batch import Batch, Fault, Faults, passing_over
from worker_service.readers.csv.blocks import Block, LineFeeds
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.refused import Native, Refusals, known_misfits
from worker_service.readers.csv.native.windows import ONE_OF, WindowReader, Windows
from worker_service.readers.csv.sift import Place, located, uneven
from worker_service.readers.fields import CARRIAGE_RETURN, NUL, column

Plain = Callable[[Block], Batch]

_LF, _CR = b"\n\r"
_PATIENCE = 2
"""After so many blocks in turn that it has to read, the plain path reads the rest of the file."""


def batches(
    blocks: Iterator[Block], file: CsvFile, fields: list[Field], source: SourceSpec, plain: Plain
) -> Iterator[Batch]:
    """The batch of each of *blocks*: that of *plain*, or an equal one. Raises SchemaWidened."""
    fast, left = native(file, fields, source), _PATIENCE
    reader = fast and window_reader(fast)
    for block in blocks:
        batch = _batch(fast, reader, block, plain) if fast and reader and left else None
        left = left - 1 if batch is None else _PATIENCE
        yield plain(block) if batch is None else batch
        del block, batch  # or they would stay in memory while the next block is read


def native(file: CsvFile, fields: list[Field], source: SourceSpec) -> Native | None:
    """None where the plain path reads the whole file."""
    dialect, loaded = file.dialect, library()
    usual = len(dialect.delimiter) == 1 and not dialect.escape and not dialect.comment
    if loaded is None or not usual or dialect.encoding != "utf-8" or file.options.short_rows != "bad_row":
        return None
    numbers = {name: number for number, name in enumerate(file.names)}
    columns = [known for field in fields if (known := column(field, numbers[field.column], source))]
    if len(columns) < len(fields):
        return None
    return Native(file, columns, source, loaded, known_misfits(source, columns))


def window_reader(native: Native) -> WindowReader:
    reader = WindowReader(native.library, native.file.dialect, len(native.file.names), native.columns)
    for target, known in zip(reader.targets, native.misfits, strict=True):
        target.learn_misfits(known)
    return reader


def _batch(native: Native, reader: WindowReader, block: Block, plain: Plain) -> Batch | None:
    """None where the plain path has to read the block."""
    refusals = Refusals(native, block, reader.targets)
    found = reader.read(block, refusals.decide)
    if refusals.widens:
        return plain(block)  # a type has to hold the texts of all records
    if found is None or not found.records or (found.flags & NUL and not native.columns):
        return None
    if found.odd.size * ONE_OF > found.records:
        return None
    table = pa.table(found.columns or {"": pa.array(np.ones(found.rows, np.bool_))})
    places = partial(located, block, native.file, LineFeeds(block), found.records)
    if not found.odd.size:
        return Batch(table, found.records, places, lines=lambda: found.feeds)
    bad = found.odd["record"].astype(np.int64)
    odd = dict(zip(bad.tolist(), found.odd.tolist(), strict=True))

    def fault(number: int) -> Fault:
        """Its cure takes a look at the whole block."""
        _, _, _, fields, _, at, first, last, _ = odd[number]
        told = uneven(fields, native.file) if fields else refusals.fault(number, at, block.data[first:last])
        return told._replace(cure=lambda: plain(block).bad.fault(number).cure())

    known = partial(places, known=_places(block, found))
    return Batch(
        table,
        found.records,
        known,
        Faults(bad, fault),
        partial(passing_over, bad),
        lambda: found.feeds,
    )


def _places(block: Block, found: Windows) -> dict[int, Place]:
    """Those of the odd records, by their numbers.

    A line feed ends a record, or an empty line, or lies within quotes. If there are as many as records, each
    one ends a record.
    """
    ended, feeds, places = block.masked[block.size - 1] == _LF, LineFeeds(block), dict[int, Place]()
    are_lines = found.feeds == found.records - (not ended)
    for number, start, behind, *_ in found.odd.tolist():
        stop = behind - (block.masked[behind - 1] == _LF)
        if found.flags & CARRIAGE_RETURN and stop > start and block.data[stop - 1] == _CR:
            stop -= 1
        lines = partial(int, number) if are_lines else partial(feeds.before, start)
        places[number] = Place(start, stop, lines)
    return places
