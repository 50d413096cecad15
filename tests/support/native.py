"""Both paths of the kernels: the native library's, and that of Python's functions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from worker_service.native import library, variant

PATHS = ("require", "off")


@contextmanager
def path(setting: str) -> Iterator[None]:
    """*setting* is GRISTMILL_NATIVE."""
    with patch.dict(os.environ, GRISTMILL_NATIVE=setting):
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    library.cache_clear()
    variant.cache_clear()
