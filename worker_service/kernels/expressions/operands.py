"""Operands and results of kernels.

An operand is an array, or a scalar where it is the same in every row. At least one operand is an array, of as
many rows as the result. A kernel gives an array, with the rows in which it fails if there are such rows.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.spec.expressions import Typed
from shared.spec.names import quote
from worker_service.arrow import Array, Mask, from_mask, from_numbers, numbers_of, validity

Operand: TypeAlias = "Array | pa.Scalar[Any]"
Operands: TypeAlias = "Sequence[Operand]"


class Failing(NamedTuple):
    """`values` are arbitrary where `bad` is true; `reason` says why a row is bad."""

    values: Array
    bad: Mask
    reason: Callable[[int], str]


Outcome: TypeAlias = "Array | Failing"
Kernel: TypeAlias = "Callable[[Typed, Operands], Outcome]"


def array(operand: Operand) -> Array:
    """A scalar as an array of one row, which numpy repeats as needed."""
    return pa.array([operand]) if isinstance(operand, pa.Scalar) else operand


def numbers(operand: Operand) -> NDArray[Any]:
    found: NDArray[Any] = numbers_of(array(operand))
    return found


def present(operands: Operands) -> Mask | None:
    """Where no operand is null; None if that is everywhere."""
    masks = [mask for operand in operands if (mask := validity(array(operand))) is not None]
    return reduce(np.logical_and, masks) if masks else None


def both(left: Mask | None, right: Mask | None) -> Mask | None:
    if left is None or right is None:
        return right if left is None else left
    return np.logical_and(left, right)


def made(kind: "pa.DataType", found: NDArray[Any], valid: Mask | None) -> Array:
    """An array of numbers, null where *valid* is False; one valid for all is repeated."""
    return from_numbers(kind, found, None if valid is None else np.broadcast_to(valid, found.shape))


def without(values: Array, bad: Mask) -> Array:
    """The values, null where *bad*."""
    return pc.if_else(from_mask(bad), pa.scalar(None, values.type), values)


def shown(operand: Operand, row: int) -> str:
    """The operand's value in a row, for a message."""
    value = array(operand)[0 if isinstance(operand, pa.Scalar) else row].as_py()
    if isinstance(value, str):
        return quote(value)
    return value.isoformat() if isinstance(value, date) else str(value)
