"""Where the libraries that read formats are called: what they raise is said once in this project's words."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from shared.errors import CorruptFile, NotSupported
from worker_service.readers.files import SourceFile

_FAULTS = (
    pa.ArrowException,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,  # among them text that is not Unicode
    LookupError,
    ArithmeticError,
    RuntimeError,
)
"""What a library raises about the bytes of a file. Others (TypeError, say) are of a wrong call: a bug."""
_SHOWN = 500
"""Characters of a library's own words."""


@contextmanager
def reading(file: SourceFile, what: str) -> Iterator[None]:
    """Around calls into a library that reads *file*, and nothing else: what it finds wrong is in the file.

    Raises CorruptFile, and NotSupported for what the library knows and does not read.
    """
    try:
        yield
    except MemoryError:  # Arrow's is one too
        raise
    except NotImplementedError as error:
        told = f"{file.uri}: the {what} cannot be read: {_reason(error)}; write it without that"
        raise NotSupported(told) from error
    except _FAULTS as error:
        if "bad_alloc" in str(error):  # as Arrow tells it of metadata
            raise MemoryError from error
        raise CorruptFile(f"{file.uri}: the {what} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error).strip() or "it ends too early"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
