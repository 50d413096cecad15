"""Plans Parquet files: types of the columns in use from their metadata, and runs of row groups as extents."""

from collections.abc import Collection, Iterator

import pyarrow.parquet as pq

from shared.core.plan import Extent
from shared.errors import CorruptFile, SchemaConflict
from shared.spec.names import quote
from shared.spec.source import SourceSpec
from shared.spec.types import NULL, DataType
from shared.spec.uses import Uses
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.inference import Use
from worker_service.readers.parquet.file import columns_of, open_file
from worker_service.readers.schema import Findings, columns_in_files, settled, wider

_PAGE_ROWS, _SMALLEST_PAGE = 2**31 - 1, 21
"""The rows that a page can hold, in a few bytes of run lengths, and the bytes that its header takes then."""

Types = dict[str, DataType]
"""The columns of a file that can be read."""


def names(file: SourceFile, source: SourceSpec) -> Collection[str]:
    del source
    return columns_of(file, open_file(file))


def plan(
    files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, *, guess: bool = False
) -> Findings:
    """The schema of the columns in use, and every extent with its uncompressed size in bytes, in file order.

    Metadata tell all cuts, so none is guessed.
    """
    del guess
    found: list[tuple[str, Types]] = []
    extents: list[tuple[Extent, int]] = []
    same: dict[tuple[tuple[str, DataType], ...], Types] = {}
    for i, file in enumerate(files):
        opened = open_file(file)
        types = columns_of(file, opened)
        found.append((file.uri, same.setdefault(tuple(types.items()), types)))
        extents += _extents(i, file, opened.metadata, chunk_bytes)
    columns = columns_in_files(found, source, uses)
    inferred = {Use(c, key=False): _joined(c, found) for c in columns if c not in source.types}
    return Findings(settled(columns, source.declared, inferred), extents)


def _joined(name: str, files: list[tuple[str, Types]]) -> DataType:
    """The type of an undeclared column over all files that have it. Raises SchemaConflict."""
    so_far = NULL
    for uri, types in files:
        both = wider(so_far, types.get(name, NULL))
        if both is None:
            told = f"column {quote(name)} is {types[name]} in {uri} and {so_far} before it"
            raise SchemaConflict(f"{told}; declare it in source.types")
        so_far = both
    return so_far


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
