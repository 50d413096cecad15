"""Plans Parquet files: types of the columns in use from their metadata, and runs of row groups as extents."""

from collections.abc import Collection, Iterator

import pyarrow.parquet as pq

from shared.core.plan import Extent
from shared.errors import CorruptFile
from shared.spec.source import SourceSpec
from shared.spec.uses import Uses
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.parquet.file import KIND, open_file
from worker_service.readers.physical import Found, columns_in, schema_in, usable
from worker_service.readers.schema import Findings

_PAGE_ROWS, _SMALLEST_PAGE = 2**31 - 1, 21
"""The rows that a page can hold, in a few bytes of run lengths, and the bytes that its header takes then."""


def names(file: SourceFile, source: SourceSpec) -> Collection[str]:
    return usable(_columns(file, open_file(file)), source)


def plan(
    files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, *, guess: bool = False
) -> Findings:
    """The schema of the columns in use, and every extent with its uncompressed size in bytes, in file order.

    Metadata tell all cuts, so none is guessed.
    """
    del guess
    found: list[tuple[str, Found]] = []
    extents: list[tuple[Extent, int]] = []
    for i, file in enumerate(files):
        opened = open_file(file)
        found.append((file.uri, _columns(file, opened)))
        extents += _extents(i, file, opened.metadata, chunk_bytes)
    schema, lacking = schema_in(found, source, uses)
    return Findings(schema, extents, lacking)


def _columns(file: SourceFile, opened: pq.ParquetFile) -> Found:
    with library_errors(file, KIND):
        return columns_in(opened.schema_arrow)


def _extents(
    index: int, file: SourceFile, metadata: pq.FileMetaData, chunk_bytes: int
) -> Iterator[tuple[Extent, int]]:
    """Runs of row groups of at most *chunk_bytes* together; a row group is never cut."""
    start = rows = size = 0
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        most = file.size // _SMALLEST_PAGE * _PAGE_ROWS if found.num_columns else 0
        if not 0 <= found.num_rows <= most:
            claim = f"row group {group} claims {found.num_rows:,} rows"
            raise CorruptFile(f"{file.uri}: {claim}, in a file of {file.size:,} bytes")
        taken = max(found.total_byte_size, 0)
        if rows and size + taken > chunk_bytes:
            yield Extent(index, start, group, rows), size
            start, rows, size = group, 0, 0
        rows += found.num_rows
        size += taken
    if rows:
        yield Extent(index, start, metadata.num_row_groups, rows), size
