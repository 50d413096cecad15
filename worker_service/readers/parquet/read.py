"""Reads row groups of Parquet files as batches.

The metadata of a file are its own claims. They say how to cut it. The rows counted are those decoded, and
have to be those claimed.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from shared.core.plan import Extent
from shared.errors import CorruptFile
from shared.spec.names import listed, quote
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.library import library_errors
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.parquet import page
from worker_service.readers.parquet.decode import Chunks, Finer, decode, decode_by_arrow
from worker_service.readers.parquet.file import KIND, open_file
from worker_service.readers.parquet.native import native_forms
from worker_service.readers.physical import is_text, paths_in
from worker_service.readers.typed import column_at, typed

_MOST_ROWS = 1 << 18
"""Of a batch: more rows do not stay in the cache until they are added up."""
_PAGE_HEADERS = 64 * 1024
"""Bytes that the headers of a column chunk's pages may take."""


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """See `readers.batches`; *batch_bytes* are uncompressed bytes of the used columns.

    Row groups are read one by one, so that a wrong claim about one does not move rows of another.
    """
    fields = [schema[name] for name in columns]
    used = list(dict.fromkeys(field.column for field in fields))
    texts = [field.column for field in fields if field.type.kind == "string"]
    opened, types = _open(file, texts, extent.start)
    with library_errors(file, KIND):
        leaves = {opened.schema.column(i).path: i for i in range(opened.metadata.num_columns)}
        flat = {path: i for path, i in leaves.items() if not opened.schema.column(i).max_repetition_level}
        leaf_types = {path: (opened.schema.column(leaves[path]), types[path]) for path in used}
        forms = native_forms(leaf_types, opened.metadata.created_by)
    asked = sorted(used or flat or leaves, key=leaves.__getitem__)
    first = sum(opened.metadata.row_group(group).num_rows for group in range(extent.start))
    for group in range(extent.start, extent.end):
        with library_errors(file, KIND):
            claims = opened.metadata.row_group(group)
            chunks = {path: claims.column(leaves[path]) for path in asked}
        encoded = {path: chunks[path] for path in used if pa.types.is_dictionary(types[path])}
        if used:
            _check_dictionaries(file, opened, group, encoded)
        else:  # rows have to be counted, in the column that takes the fewest bytes
            path = min(chunks, key=lambda path: chunks[path].total_compressed_size)
            chunks = {path: chunks[path]}
        _check_values(file, group, claims.num_rows, {path: chunks[path] for path in chunks if path in flat})
        found, rows = 0, min(_batch_rows(chunks, claims, batch_bytes), _MOST_ROWS)
        finer = Finer(file, opened, group, used if source.parquet.nanoseconds == "fail" else [], rows)
        for decoded in decode(file, opened, group, chunks, rows, forms):
            yield typed(decoded, fields, file, source, first + found, finer.rows_of(decoded))
            found += decoded.num_rows
        if found != claims.num_rows:
            claim = f"row group {group} claims {claims.num_rows:,} rows"
            raise CorruptFile(f"{file.uri}: {claim}; its pages hold {found:,}")
        first += found


def _open(
    file: SourceFile, texts: Sequence[str], group: int
) -> tuple[pq.ParquetFile, dict[str, pa.DataType]]:
    """The file, and all types. Those of the columns *texts* that the row *group* has as indexes stay so."""
    opened = open_file(file)
    with library_errors(file, KIND):
        found = {".".join(path): arrow for path, arrow in paths_in(opened.schema_arrow)}
        claims = opened.metadata.row_group(group)
        chunks = {chunk.path_in_schema: chunk for chunk in map(claims.column, range(claims.num_columns))}
    encoded = [name for name in texts if is_text(found[name]) and _has_indexes(file, chunks.get(name))]
    found |= {
        name: pa.dictionary(pa.int32(), found[name])
        for name in encoded
        if not pa.types.is_dictionary(found[name])
    }
    return open_file(file, encoded, opened.metadata), found


def _has_indexes(file: SourceFile, chunk: pq.ColumnChunkMetaData | None) -> bool:
    """Whether all values are indexes into a dictionary, of at most four bytes each.

    A writer whose dictionary gets too large goes on with texts. Arrow reads these faster as texts.
    """
    if chunk is None:
        return True
    most = page.dictionary(file, chunk).size + 4 * chunk.num_values + _PAGE_HEADERS
    return bool(chunk.total_uncompressed_size <= most)


def _batch_rows(chunks: Chunks, claims: pq.RowGroupMetaData, batch_bytes: int) -> int:
    """Rows of a batch of about *batch_bytes*.

    Dictionary and run-length pages are smaller than their values: a value is counted as four bytes at least.
    """
    size = sum(max(chunk.total_uncompressed_size, 0) for chunk in chunks.values())
    least = 4 * claims.num_rows * len(chunks)
    return int(max(batch_bytes * claims.num_rows // max(size, least, 1), 1))


def _check_values(file: SourceFile, group: int, rows: int, flat: Chunks) -> None:
    """Refuse claims that contradict each other: a column that is not nested has one value a row."""
    for path, chunk in flat.items():
        if chunk.num_values != rows:
            told = f"{rows:,} rows and {chunk.num_values:,} values of column {quote(path)}"
            raise CorruptFile(f"{file.uri}: row group {group} claims {told}")


def _check_dictionaries(file: SourceFile, opened: pq.ParquetFile, group: int, chunks: Chunks) -> None:
    """Refuse a dictionary with equal words: Arrow keeps them once, and then indexes mean other words.

    All of *chunks* are read dictionary-encoded.
    """
    for path, chunk in chunks.items():
        words = page.dictionary(file, chunk).words
        first = next(decode_by_arrow(file, opened, group, [path], 1), None) if words else None
        if first is not None and len(column_at(first, path).dictionary) < words:
            told = f"row group {group} has a dictionary of column {listed([path])} of {words:,} words"
            cure = "write the file without, or let another program write it"
            raise CorruptFile(f"{file.uri}: {told}, some of them equal; {cure}")
