"""The values of a row group of a Parquet file, in batches of Arrow."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import CorruptFile, NotSupported
from worker_service.arrow import Array, Ints, numbers_of, validity
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.parquet.file import KIND, open_file
from worker_service.readers.parquet.native import ColumnChunk, Form
from worker_service.readers.parquet.pages import GivenUp
from worker_service.readers.sound import check
from worker_service.readers.typed import column_at

Chunks = Mapping[str, pq.ColumnChunkMetaData]
"""The claims about a row group's column chunks, by path."""

_HELD, _LEAST_HELD = 8 << 20, 64 << 10
"""Bytes of pages that all columns hold, and that each may: as much packed, and as much not."""
_MOST_COLUMNS = 64
"""That the native library decodes: each holds a page, where Arrow holds but one of all."""


def decode(
    file: SourceFile,
    opened: pq.ParquetFile,
    group: int,
    chunks: Chunks,
    rows: int,
    forms: Mapping[str, Form],
) -> Iterator[pa.RecordBatch]:
    """The values of *chunks* of a row group, at most *rows* of them at a time.

    The native library decodes those columns that have a form, until it gives up. Then Arrow decodes all.
    """
    done = 0
    with suppress(GivenUp):
        for batch in _decode_natively(file, opened, group, chunks, rows, forms):
            yield _checked(file, batch)
            done += batch.num_rows
        return
    for batch in _by_arrow(file, opened, group, list(chunks), rows):
        known = min(done, batch.num_rows)
        done -= known
        if known < batch.num_rows:
            yield _checked(file, batch).slice(known)


def decode_by_arrow(
    file: SourceFile, opened: pq.ParquetFile, group: int, columns: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    """The values of *columns* of a row group, at most *rows* of them at a time."""
    return (_checked(file, batch) for batch in _by_arrow(file, opened, group, columns, rows))


def _checked(file: SourceFile, batch: pa.RecordBatch) -> pa.RecordBatch:
    with library_errors(file, KIND):
        check(batch)
    return batch


def _decode_natively(
    file: SourceFile,
    opened: pq.ParquetFile,
    group: int,
    chunks: Chunks,
    rows: int,
    forms: Mapping[str, Form],
) -> Iterator[pa.RecordBatch]:
    """Raises GivenUp where Arrow has to go on, at once if there is nothing to decode natively."""
    native: dict[str, ColumnChunk] = {}
    known = [path for path in chunks if path in forms]
    for path in known:
        with suppress(GivenUp):
            native[path] = ColumnChunk(file, chunks[path], forms[path], max(_HELD // len(known), _LEAST_HELD))
    if not 0 < len(native) <= _MOST_COLUMNS:
        raise GivenUp
    others = [path for path in chunks if path not in native]
    by_arrow = _by_arrow(file, opened, group, others, rows) if others else None
    left = chunks[next(iter(native))].num_values
    while left:
        columns: dict[str, Array] = {}
        count = min(rows, left)
        if by_arrow is not None:
            try:
                decoded = next(by_arrow, None)
            except (CorruptFile, NotSupported) as error:  # another column may have a fault before that
                raise GivenUp from error
            if decoded is None or decoded.num_rows > left:
                raise GivenUp
            columns, count = dict(zip(decoded.schema.names, decoded.columns, strict=True)), decoded.num_rows
        left -= count
        columns |= {path: chunk.take(count) for path, chunk in native.items()}
        if not left and not all(chunk.is_read for chunk in native.values()):
            raise GivenUp
        yield pa.record_batch(columns)


def _by_arrow(
    file: SourceFile, opened: pq.ParquetFile, group: int, columns: list[str], rows: int
) -> Iterator[pa.RecordBatch]:
    with library_errors(file, KIND):
        batches = opened.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False)
    while True:
        with library_errors(file, KIND):
            batch = next(batches, None)
        if batch is None or not batch.num_rows:
            return
        yield batch


class Finer:
    """Finds the times in INT96 that are finer than a microsecond: in microseconds the rest is cut off.

    So they are decoded in nanoseconds too. Beyond the years 1677 to 2262 these wrap around in 64 bits, and
    the product that they are compared with does as well.
    """

    def __init__(
        self, file: SourceFile, opened: pq.ParquetFile, group: int, used: list[str], rows: int
    ) -> None:
        with library_errors(file, KIND):
            columns = [opened.schema.column(i) for i in range(opened.metadata.num_columns)]
            self._columns = [c.path for c in columns if c.path in used and c.physical_type == "INT96"]
        if self._columns:
            in_ns = open_file(file, (), opened.metadata, "ns")
            self._decoded = decode_by_arrow(file, in_ns, group, self._columns, rows)
            self._held = pa.table({})

    def rows_of(self, decoded: pa.RecordBatch) -> dict[str, Ints]:
        """The rows of *decoded*, the next batch of the row group, with finer times, by column."""
        if not self._columns:
            return {}
        size = decoded.num_rows
        while self._held.num_rows < size and (more := next(self._decoded, None)) is not None:
            held = pa.table(more)
            self._held = pa.concat_tables([self._held, held]) if self._held.num_rows else held
        [in_ns] = self._held.slice(0, size).combine_chunks().to_batches()
        self._held = self._held.slice(size)
        return {name: _differing(column_at(in_ns, name), column_at(decoded, name)) for name in self._columns}


def _differing(in_ns: Array, in_us: Array) -> Ints:
    differ = numbers_of(in_ns) != numbers_of(in_us) * 1000
    present = validity(in_us)
    return np.flatnonzero(differ if present is None else differ & present)
