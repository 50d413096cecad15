"""Damage of compressed files that shows only where their streams end: a checksum there does not match."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from shared.errors import (
    AmbiguousDelimiter,
    BadRow,
    CorruptFile,
    GristmillError,
    InvalidEncoding,
    LimitExceeded,
    NotSupported,
    SchemaConflict,
    SourceEmpty,
    TooManyBadRows,
    TypeMismatch,
    UnknownColumn,
)
from shared.spec.source import SourceSpec
from worker_service.readers.bytes.compressed import buffers, compression_of
from worker_service.readers.bytes.local import SourceFile

_OF_DATA = (
    AmbiguousDelimiter, BadRow, InvalidEncoding, LimitExceeded, NotSupported, SchemaConflict, SourceEmpty,
    TooManyBadRows, TypeMismatch, UnknownColumn,
)  # fmt: skip
"""Errors that damaged data may cause."""
_MOST = 256 * 1024 * 1024
"""Bytes of the largest file that is read to its end for a better error."""
_BUFFER = 1024 * 1024


@contextmanager
def damage_first(files: Sequence[SourceFile], source: SourceSpec) -> Iterator[None]:
    """Raise CorruptFile in place of an error about the data of a file whose compressed data are damaged.

    The files that the error names are decompressed to their ends, or the first one if it names none.
    """
    try:
        yield
    except _OF_DATA as error:
        named = [file for file in files if file.uri in error.detail] or files[:1]
        for file in named:
            if file.size <= _MOST and (damage := _damage(file, source)):
                raise damage from error
        raise


def _damage(file: SourceFile, source: SourceSpec) -> CorruptFile | None:
    """A zip file that is no member of the dataset is a workbook, whose reader compares its checksums."""
    with suppress(GristmillError):
        try:
            compression = compression_of(file, source.compression)
            if compression != "none" and (compression != "zip" or file.member):
                for _ in buffers(file, compression, _BUFFER):
                    pass
        except CorruptFile as damage:
            return damage
    return None
