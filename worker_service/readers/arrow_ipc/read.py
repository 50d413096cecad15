"""Reads record batches of Arrow IPC as batches.

A record batch is decoded whole, the columns in use of it, and then taken in slices.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shared.core.plan import Extent
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers.arrow_ipc.file import KIND, is_stream, options, schema_of
from worker_service.readers.arrow_ipc.footer import record_batches
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import RandomAccess, SourceFile
from worker_service.readers.sound import check
from worker_service.readers.typed import typed


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """See `readers.batches`; *batch_bytes* are decoded bytes of the used columns."""
    fields = [schema[name] for name in columns]
    streamed = is_stream(file)
    with library_errors(file, KIND):
        first = 0 if streamed else sum(batch.rows for batch in record_batches(file)[: extent.start])
    for decoded in _decoded(file, None if streamed else extent, [field.column for field in fields]):
        rows = decoded.num_rows
        step = max(batch_bytes * rows // max(decoded.nbytes, 4 * rows * len(fields), 1), 1)
        for start in range(0, rows, step):
            yield typed(decoded.slice(start, step), fields, file, source, first + start)
        first += rows


def _decoded(file: SourceFile, extent: Extent | None, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The record batches of *extent*, or all of a stream, with the columns *names* at least."""
    tops = {name.split(".", 1)[0] for name in names} | set(names)
    with library_errors(file, KIND):
        wanted = options([i for i, field in enumerate(schema_of(file)) if field.name in tops])
        if extent is None:
            batches = iter(pa.ipc.open_stream(RandomAccess(file), options=wanted))
        else:
            opened = pa.ipc.open_file(RandomAccess(file), options=wanted)
            batches = (opened.get_batch(no) for no in range(extent.start, extent.end))
    while True:
        with library_errors(file, KIND):
            batch = next(batches, None)
            if batch is None:
                return
            check(batch)
            batch = _with_distinct_words(batch)
        yield batch


def _with_distinct_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    """*batch*, no dictionary of which holds equal words: then each index is a value of its own."""
    columns = [
        values.dictionary_decode().dictionary_encode()
        if isinstance(values, pa.DictionaryArray)
        and pc.count_distinct(values.dictionary).as_py() < len(values.dictionary)
        else values
        for values in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)
