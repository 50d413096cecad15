"""Runs code with the native library, or with the Python functions in its place."""

import os
from contextlib import contextmanager
from unittest.mock import patch

from worker_service.native import library, variant


@contextmanager
def forced(setting):
    """*setting* is that of GRISTMILL_NATIVE: `require` or `off`."""
    with patch.dict(os.environ, {"GRISTMILL_NATIVE": setting}):
        _forget()
        try:
            yield library()
        finally:
            _forget()
    _forget()


def _forget():
    library.cache_clear()
    variant.cache_clear()
