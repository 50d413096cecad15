"""The doubles that no exact sum holds; they are counted apart."""

from collections.abc import Callable

import numpy as np

from worker_service.arrow import Floats, Mask

SPECIAL: dict[str, Callable[[Floats], Mask]] = {"nan": np.isnan, "pinf": np.isposinf, "ninf": np.isneginf}
"""Suffix of a count beside the limbs -> which values it counts."""
