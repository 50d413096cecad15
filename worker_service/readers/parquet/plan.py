"""Plans Parquet files: one schema from their metadata, and runs of row groups as extents."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from shared.core.plan import Extent
from shared.errors import CorruptFile, SchemaConflict
from shared.spec.names import quote
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Schema
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.parquet.file import KIND, open_file
from worker_service.readers.physical import column_type, columns_in, type_of
from worker_service.readers.schema import check_declared, settled, wider

_PAGE_ROWS, _SMALLEST_PAGE = 2**31 - 1, 21
"""The rows that a page can hold, in a few bytes of run lengths, and the bytes that its header takes then."""


def plan(
    files: list[SourceFile], source: SourceSpec, chunk_bytes: int, *, guess: bool = False
) -> tuple[Schema, list[tuple[Extent, int]]]:
    """The schema, and every extent with its uncompressed size in bytes, in file order.

    Metadata tell all cuts, so none is guessed.
    """
    del guess
    types: dict[str, DataType] = {}
    extents: list[tuple[Extent, int]] = []
    for i, file in enumerate(files):
        opened = open_file(file)
        with library_errors(file, KIND):
            arrow = columns_in(opened.schema_arrow)
        found = {
            name: column_type(file.uri, name, kinds, source)
            for name, kinds in arrow.items()
            if name in source.types or (len(kinds) == 1 and type_of(kinds[0]) is not None)
        }
        extents += _extents(i, file, opened.metadata, chunk_bytes)
        if i == 0:
            check_declared(found, source.types)
            types = found
        elif found.keys() != types.keys():
            odd = min(found.keys() ^ types.keys())
            told = f"{file.uri} and {files[0].uri} do not have the same columns"
            raise SchemaConflict(f"{told}: {quote(odd)} is in one of them only")
        for name in types.keys() - source.types.keys():
            joined = wider(types[name], found[name])
            if joined is None:
                told = f"column {quote(name)} is {found[name]} in {file.uri} and {types[name]} before it"
                raise SchemaConflict(f"{told}; declare it in source.types")
            types[name] = joined
    return settled(types, source.declared), extents


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
