"""The only way in which tests wait."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0


def eventually(look: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Ask until the answer is true."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"{what} did not happen within {patience:g} s"
        time.sleep(0.02)
    return found
