"""Both paths: the native library, and the Python functions in its place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from unittest.mock import patch

import pytest

from worker_service.native import library

PATHS = ("require", "off")
needs_library = pytest.mark.skipif(library() is None, reason="the native library is not in use here")
"""Only `GRISTMILL_NATIVE=off` and machines without a compiler skip these tests."""


@contextmanager
def path(setting: str) -> Iterator[None]:
    """*setting* is that of GRISTMILL_NATIVE."""
    with patch.dict(os.environ, GRISTMILL_NATIVE=setting):
        _forget()
        try:
            yield
        finally:
            _forget()
    _forget()


def _forget() -> None:
    import_module("worker_service.native.library")._found.cache_clear()
