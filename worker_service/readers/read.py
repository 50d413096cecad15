"""Reads an extent. The file's first bytes tell the format, as they did when it was planned."""

from collections.abc import Iterator

from shared.core.plan import Extent
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.formats import format_of


def batches(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """The records of *extent* in file order, with *columns* typed as *schema* says.

    A batch takes about *batch_bytes* of input. Strings are dictionary-encoded where that pays. A bad row is a
    value of its batch, and reading goes on behind it. Raises SchemaWidened, CorruptFile, SourceChanged,
    CutsRefuted; and errors.BadRow or InvalidEncoding where no record end can be proven, or no single row is
    at fault.
    """
    return format_of(file, source).read(file, extent, source, schema, columns, batch_bytes)


def lines_before(file: SourceFile, extent: Extent, source: SourceSpec) -> int:
    """The lines of *file* before *extent*, if that is its first extent and the file has lines; else 0."""
    of_format = format_of(file, source).lines_before
    return of_format(file, extent, source) if of_format else 0
