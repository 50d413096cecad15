"""Plans Arrow IPC: one schema from those of the files, and runs of record batches as extents."""

from collections.abc import Collection, Iterator

from shared.core.plan import Extent
from shared.errors import CorruptFile
from shared.spec.source import SourceSpec
from shared.spec.uses import Uses
from worker_service.readers.arrow_ipc.file import KIND, is_stream, schema_of
from worker_service.readers.arrow_ipc.footer import record_batches
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.physical import Found, columns_in, schema_in, usable
from worker_service.readers.schema import Findings

MAX_ROWS = 2**31 - 1
"""Rows that Arrow's format allows in a record batch."""


def names(file: SourceFile, source: SourceSpec) -> Collection[str]:
    return usable(_columns(file), source)


def plan(
    files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, *, guess: bool = False
) -> Findings:
    """The schema of the columns in use, and every extent with its bytes in the file, in file order.

    Metadata tell all cuts, so none is guessed.
    """
    del guess
    found = [(file.uri, _columns(file)) for file in files]
    extents = [extent for i, file in enumerate(files) for extent in _extents(i, file, chunk_bytes)]
    schema, lacking = schema_in(found, source, uses)
    return Findings(schema, extents, lacking)


def _columns(file: SourceFile) -> Found:
    with library_errors(file, KIND):
        return columns_in(schema_of(file))


def _extents(index: int, file: SourceFile, chunk_bytes: int) -> Iterator[tuple[Extent, int]]:
    """Runs of record batches of at most *chunk_bytes* together, each with its bytes; a stream is one."""
    if is_stream(file):
        yield Extent(index, 0, 1), file.size
        return
    with library_errors(file, KIND):
        found = record_batches(file)
    start = rows = size = 0
    for no, batch in enumerate(found):
        if not 0 <= batch.rows <= MAX_ROWS:
            raise CorruptFile(f"{file.uri}: record batch {no} claims {batch.rows:,} rows")
        if rows and size + batch.size > chunk_bytes:
            yield Extent(index, start, no, rows), size
            start, rows, size = no, 0, 0
        rows += batch.rows
        size += batch.size
    if rows:
        yield Extent(index, start, len(found), rows), size
