"""Reads an extent. The file's first bytes tell the format, as they did when it was planned."""

from collections.abc import Iterator
from functools import partial

from shared.core.plan import Extent
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.fixed import fixed_values, with_fixed
from worker_service.readers.formats import format_of
from worker_service.readers.paths import path_texts


def batches(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """The records of *extent* in file order, with *columns* typed as *schema* says.

    A batch takes about *batch_bytes* of input. Strings are dictionary-encoded where that pays. A bad row is a
    value of its batch, and reading goes on behind it. Raises SchemaWidened, CorruptFile, SourceChanged,
    CutsRefuted; and errors.BadRow or InvalidEncoding where no record end can be proven, or no single row is
    at fault.
    """
    found = format_of(file, source)
    if source.missing_columns == "fail" and not path_texts(file.uri, source):
        return found.read(file, extent, source, schema, columns, batch_bytes)
    names, fields = set(found.names(file, source)), [schema[name] for name in columns]
    if found.sparse:
        names.update({field.column for field in fields} - path_texts(file.uri, source).keys())
    fixed = fixed_values(file.uri, names, source, fields)
    held = [field.name for field in fields if field.column in names]
    read_ones = found.read(file, extent, source, schema, held, batch_bytes)
    return map(partial(with_fixed, fixed=fixed, columns=columns, uri=file.uri), read_ones)
