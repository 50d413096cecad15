"""Translates the errors of the libraries that decode files."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from shared.errors import CorruptFile, NotSupported
from worker_service.readers.bytes.local import SourceFile

_ERRORS = (
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
"""Errors of libraries about the bytes of a file. Others (TypeError, say) tell of a wrong call: a bug."""
_SHOWN = 500
"""Characters of a library's own message."""


@contextmanager
def library_errors(file: SourceFile, kind: str) -> Iterator[None]:
    """For calls of a library that decodes *file*, and nothing else: an error is then an error of the file.

    *kind* names the format in the message. Raises CorruptFile, and NotSupported for a feature that the
    library knows and does not read.
    """
    try:
        yield
    except MemoryError:  # Arrow's is one too
        raise
    except NotImplementedError as error:
        told = f"{file.uri}: the {kind} cannot be read: {_reason(error)}; write it without that"
        raise NotSupported(told) from error
    except _ERRORS as error:
        if "bad_alloc" in str(error):  # Arrow's error for metadata that do not fit into memory
            raise MemoryError from error
        raise CorruptFile(f"{file.uri}: the {kind} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error).strip() or "it ends too early"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
