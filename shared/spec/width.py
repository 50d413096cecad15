"""How wide a row of a result may get, and how many columns a Postgres table holds.

A heap tuple has at most 8,160 bytes. What is fixed in size stays inside. A longer value moves out and leaves
a pointer of 18 bytes, but one of 24 bytes or fewer never moves: 24 are the most that a text or an array
takes. A number has an odd size, so 23 are the most of it.
"""

from collections.abc import Sequence

from shared.errors import TooManyColumns
from shared.spec.functions import Function
from shared.spec.types import INT64, SIMPLE, DataType, Kind

MAX_COLUMNS = 1600
MAX_ROW_BYTES = 8160
_HEADER = 23
_INLINE = 24
_FIXED: dict[Kind, int] = {"bool": 1, "int64": 8, "float64": 8, "date": 4, "timestamp": 8, "timestamptz": 8}
"""Bytes of the kinds of fixed size, each of which begins at a multiple of its size."""
_NARROW = (*map(DataType, SIMPLE), DataType("decimal", 1, 0))
_CURE = "leave out aggregates or elements of q, or make several jobs with the same group_by"


def value_bytes(of: DataType) -> int:
    """The most that a value takes inside its row."""
    if not of.array and of.kind in _FIXED:
        return _FIXED[of.kind]
    if of.array or of.kind != "decimal":
        return _INLINE
    digits = -(-(of.precision - of.scale) // 4) + -(-of.scale // 4)  # four in two bytes
    return min(_INLINE - 1, 3 + 2 * digits)


def row_bytes(types: Sequence[DataType]) -> int:
    """The most that a row of `_id` and then *types* takes, whatever its values are and if one of them is null."""
    end = 0
    for of in (INT64, *types):
        size = value_bytes(of)
        end = _aligned(end, _FIXED[of.kind] if not of.array and of.kind in _FIXED else 1) + size
    return _aligned(_HEADER + (len(types) + 8) // 8, 8) + end


def _aligned(offset: int, to: int) -> int:
    return -(-offset // to) * to


def narrowest(function: Function) -> DataType:
    """The result type of *function* that takes the least, while the type of its column is not known."""
    accepts = function.first_accepts.kinds
    return min((function.result(of) for of in _NARROW if of.kind in accepts), key=value_bytes)


NARROWEST_KEY = DataType("bool")


def check_width(types: Sequence[DataType]) -> None:
    """Raise TooManyColumns if Postgres has no room for the result's columns, which are of *types*, and `_id`."""
    columns = len(types) + 1
    if columns > MAX_COLUMNS:
        raise TooManyColumns(
            f"The result has {columns:,} columns with _id; a Postgres table has at most {MAX_COLUMNS:,}: {_CURE}",
            pointer="#/aggregates",
        )
    if (size := row_bytes(types)) > MAX_ROW_BYTES:
        raise TooManyColumns(
            f"A row of the result takes up to {size:,} bytes in its {columns:,} columns; Postgres keeps at most {MAX_ROW_BYTES:,} "
            f"in a row: {_CURE}",
            pointer="#/aggregates",
        )
