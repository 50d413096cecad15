"""The values of a node, and beside them the error of each row."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.arrow import Array, Mask
from worker_service.kernels.expressions.operands import Operand

Errors = NDArray[np.int32] | None
"""Of each row the number of its error, 0 for none; of one row for a scalar. None: no row has an error."""


@dataclass(frozen=True, slots=True)
class Value:
    data: Operand
    errors: Errors = None


def first(errors: Errors, later: Errors) -> Errors:
    """The earlier error of each row if it has one, else the later."""
    if errors is None or later is None:
        return later if errors is None else errors
    return np.where(errors, errors, later).astype(np.int32)


def needed(errors: Errors, where: Mask) -> Errors:
    """The errors of the rows that need the value."""
    return None if errors is None else np.where(where, errors, 0).astype(np.int32)


def plain(data: Operand) -> Operand:
    return data.dictionary_decode() if isinstance(data, pa.DictionaryArray) else data


def column(data: Operand, rows: int) -> Array:
    return pa.repeat(data, rows) if isinstance(data, pa.Scalar) else data
