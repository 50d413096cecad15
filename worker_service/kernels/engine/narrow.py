"""Lists of numbers with half their bytes in partials, where all of them allow it.

An integer may fit 32 bits. A double may be such an integer over a power of ten, as those written with a few
decimals are. Division rounds once, on any machine. So the quotient is the same double everywhere.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker_service.arrow import Array, Floats, as_array, from_numbers, numbers_of
from worker_service.native import library

_DIGITS = b"gristmill.digits"
"""Metadata of a field: the exponent of the power of ten; of integers, empty."""
_MOST_DIGITS = 9
_SAMPLE = 200
_BOUND = 1 << 31


def narrowed(states: pa.Table) -> pa.Table:
    """*states* with narrow lists where every value of the column has a narrow form."""
    for at, field in enumerate(states.schema):
        lists = as_array(states[field.name])
        if pa.types.is_list(field.type) and not lists.null_count:
            found = _narrow(lists.flatten())
            if found is not None:
                items, digits = found
                column = _lists(lists, items)
                narrow = pa.field(field.name, column.type, metadata={_DIGITS: digits})
                states = states.set_column(at, narrow, column)
    return states


def widened(states: pa.Table) -> pa.Table:
    """The inverse."""
    for at, field in enumerate(states.schema):
        digits = (field.metadata or {}).get(_DIGITS)
        if digits is not None:
            lists = as_array(states[field.name])
            column = _lists(lists, _wide(lists.flatten(), digits))
            states = states.set_column(at, pa.field(field.name, column.type), column)
    return states


def _lists(lists: Array, items: Array) -> Array:
    offsets = lists.offsets
    return pa.ListArray.from_arrays(pc.subtract(offsets, offsets[0]), items)


def _narrow(items: Array) -> tuple[Array, bytes] | None:
    if not len(items):
        return None
    if pa.types.is_int64(items.type):
        numbers = numbers_of(items)
        fit = numbers.min() >= -_BOUND and numbers.max() < _BOUND
        return (pa.array(numbers.astype(np.int32)), b"") if fit else None
    if not pa.types.is_float64(items.type):
        return None
    doubles: Floats = numbers_of(items)
    some = np.ascontiguousarray(doubles[:: len(doubles) // _SAMPLE + 1])
    for digits in range(_MOST_DIGITS + 1):
        if scaled(some, digits) is not None:
            found = scaled(doubles, digits)
            return None if found is None else (pa.array(found), str(digits).encode())
    return None


def _wide(items: Array, digits: bytes) -> Array:
    numbers = np.frombuffer(items.buffers()[1], np.int32, len(items), 4 * items.offset)
    if not digits:
        return pa.array(numbers.astype(np.int64))
    return from_numbers(pa.float64(), unscaled(numbers, int(digits)))


def scaled(doubles: Floats, digits: int) -> NDArray[np.int32] | None:
    """The integers that make *doubles* when 10**digits divides them; None unless all do, to the bit."""
    power, whole = 10.0**digits, np.empty(len(doubles), np.int32)
    if (native := library()) is not None:
        same = native.gm_scaled(doubles.ctypes.data, len(doubles), power, whole.ctypes.data)
        return whole if same else None
    with np.errstate(over="ignore"):
        products = np.rint(doubles * power)
    if not np.abs(products).max(initial=0) < _BOUND:  # NaN is not
        return None
    whole = products.astype(np.int32)
    return whole if ((whole / power).view(np.int64) == doubles.view(np.int64)).all() else None


def unscaled(whole: NDArray[np.int32], digits: int) -> Floats:
    """The inverse."""
    power, doubles = 10.0**digits, np.empty(len(whole))
    if (native := library()) is None:
        return np.divide(whole, power, out=doubles)
    native.gm_unscaled(whole.ctypes.data, len(whole), power, doubles.ctypes.data)
    return doubles
