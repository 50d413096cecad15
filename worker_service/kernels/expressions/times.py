"""The functions of dates and timestamps. The calendar is proleptic, weeks are those of ISO 8601."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.expressions import Typed
from worker_service.arrow import Array, Ints, arrow_type
from worker_service.kernels.clocks import offsets
from worker_service.kernels.expressions.operands import (
    Failing,
    Kernel,
    Operand,
    Operands,
    Outcome,
    array,
    both,
    made,
    numbers,
    present,
    shown,
)

DAY = 86_400_000_000
FIRST, LAST = -719_162 * DAY, 2_932_897 * DAY - 1
"""The years 1 to 9999."""
_LENGTHS = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000, "day": DAY, "week": 7 * DAY}
_TO_MONDAY = 3
"""1970-01-01 is a Thursday."""
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_PARTS = {
    "year": pc.year,
    "quarter": pc.quarter,
    "month": pc.month,
    "week": pc.iso_week,
    "day": pc.day,
    "hour": pc.hour,
    "minute": pc.minute,
    "second": pc.second,
}


def _part(node: Typed, operands: Operands) -> Array:
    return _PARTS[node.op](operands[0])


def _weekday(_: Typed, operands: Operands) -> Array:
    return made(pa.int64(), (_days(operands[0]) + _TO_MONDAY) % 7, present(operands))


def _days(operand: Operand) -> Ints:
    found: Ints = numbers(operand)
    return found if pa.types.is_date32(operand.type) else found // DAY


def _truncated(node: Typed, operands: Operands) -> Outcome:
    """The beginning of a unit; below a day by the clocks of the zone, whose offset stays."""
    unit, zone = map(str, node.settings)
    [time] = operands
    if unit in _MONTHS:
        return pc.floor_temporal(array(time), unit=unit).cast(pa.date32())
    if unit in {"day", "week"}:
        days = _days(time)
        begun = days - (days + _TO_MONDAY) % 7 if unit == "week" else days
        return made(pa.date32(), begun, present(operands))
    found = numbers(time)
    local = found + offsets(found, zone) if node.type.kind == "timestamptz" else found
    begun, valid = found - local % _LENGTHS[unit], present(operands)
    values = made(arrow_type(node.type), begun, valid)
    bad = both(begun < FIRST, valid)
    if bad is None or not bad.any():
        return values
    return Failing(values, bad, lambda row: f"the {unit} of {shown(time, row)} begins before the year 1")


def _difference(node: Typed, operands: Operands) -> Array:
    """How many units begin after the first time, up to the second one."""
    unit = str(node.settings[0])
    start, end = operands
    if unit in _MONTHS:
        counts = [_months(each) // _MONTHS[unit] for each in (start, end)]
    elif unit in {"day", "week"}:
        shift, by = (_TO_MONDAY, 7) if unit == "week" else (0, 1)
        counts = [(_days(each) + shift) // by for each in (start, end)]
    else:
        return made(pa.int64(), (numbers(end) - numbers(start)) // _LENGTHS[unit], present(operands))
    return made(pa.int64(), counts[1] - counts[0], present(operands))


def _months(operand: Operand) -> Ints:
    column = array(operand)
    found: Ints = np.asarray(numbers(pc.year(column))) * 12 + numbers(pc.month(column)) - 1
    return found


KERNELS: dict[str, Kernel] = {
    **dict.fromkeys(_PARTS, _part),
    "weekday": _weekday,
    "date_trunc": _truncated,
    "date_diff": _difference,
}
