"""How wide a row of a result may get, and how many columns a Postgres table holds.

A heap tuple has at most 8,160 bytes. Values of fixed size stay inside. A longer value moves out (TOAST) and
leaves a pointer of 18 bytes, but a value of 24 bytes or fewer never moves. So a text or an array takes at
most 24 bytes. The size of a numeric is odd, so it takes at most 23.
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
_ADVICE = "leave out aggregates or elements of q, or make several jobs with the same group_by"


def value_bytes(of: DataType) -> int:
    """The most that a value takes inside its row."""
    if not of.array and of.kind in _FIXED:
        return _FIXED[of.kind]
    if of.array or of.kind != "decimal":
        return _INLINE
    digits = -(-(of.precision - of.scale) // 4) + -(-of.scale // 4)  # four in two bytes
    return min(_INLINE - 1, 3 + 2 * digits)


def row_bytes(types: Sequence[DataType]) -> int:
    """The most that a row of `_id` and then *types* takes, for any values, null or not."""
    end = 0
    for of in (INT64, *types):
        size = value_bytes(of)
        end = _aligned(end, _FIXED[of.kind] if not of.array and of.kind in _FIXED else 1) + size
    return _aligned(_HEADER + (len(types) + 8) // 8, 8) + end


def _aligned(offset: int, to: int) -> int:
    return -(-offset // to) * to


def narrowest(function: Function) -> DataType:
    """The smallest result type of *function*, for a column whose type is not known yet."""
    accepts = function.first_accepts.kinds
    return min((function.result(of) for of in _NARROW if of.kind in accepts), key=value_bytes)


NARROWEST = DataType("bool")
"""Of a key or a computed column, whose type is not known yet."""


def check_width(types: Sequence[DataType]) -> None:
    """Raise TooManyColumns if Postgres has no room for result columns of *types* beside `_id`."""
    columns = len(types) + 1
    if columns > MAX_COLUMNS:
        raise TooManyColumns(
            f"The result has {columns:,} columns with _id; "
            f"a Postgres table has at most {MAX_COLUMNS:,}: {_ADVICE}",
            pointer="#/aggregates",
        )
    if (size := row_bytes(types)) > MAX_ROW_BYTES:
        raise TooManyColumns(
            f"A row of the result takes up to {size:,} bytes in its {columns:,} columns; "
            f"Postgres keeps at most {MAX_ROW_BYTES:,} in a row: {_ADVICE}",
            pointer="#/aggregates",
        )
