"""Values as another type. A value that the type does not have is an error of its row.

Text becomes a value by the grammar of the readers, which `evaluate` is given.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.expressions import Typed
from shared.spec.types import Kind
from worker_service.arrow import Array, Mask, arrow_type, canonical, from_numbers, validity
from worker_service.kernels.clocks import local_times, moments_of
from worker_service.kernels.expressions import whole as w
from worker_service.kernels.expressions.doubles import scaled_whole
from worker_service.kernels.expressions.operands import (
    Failing,
    Kernel,
    Operands,
    Outcome,
    array,
    numbers,
    shown,
)
from worker_service.kernels.expressions.times import DAY, FIRST, LAST

_FRACTION_ZEROS, _FRACTION_POINT = r"(\.[0-9]*?)0+(Z?)$", r"\.(Z?)$"
_DOUBLES = 2.0**63


def _has_none(column: Array, target: str, advice: str = "") -> Callable[[int], str]:
    return lambda row: f"{shown(column, row)} has no value as {target}{advice}"


def _failing(values: Array, bad: Mask, valid: Mask | None, reason: Callable[[int], str]) -> Outcome:
    bad = bad if valid is None else bad & valid
    return Failing(values, bad, reason) if bad.any() else values


def _whole_doubles(column: Array, _: Typed) -> Outcome:
    found, valid = numbers(column), validity(column)
    whole = (found >= -_DOUBLES) & (found < _DOUBLES) & (np.rint(found) == found)
    values = from_numbers(pa.int64(), np.where(whole, found, 0.0).astype(np.int64), valid)
    return _failing(values, ~whole, valid, _has_none(column, "int64", "; round, floor or ceil makes one"))


def _rounded_doubles(column: Array, node: Typed) -> Outcome:
    """Decimals, half to even."""
    found, valid = numbers(column), validity(column)
    values, bad = w.fitting(arrow_type(node.type), scaled_whole(found, node.type.scale), valid)
    lost = ~np.isfinite(found) if bad is None else ~np.isfinite(found) | bad
    return _failing(values, lost, valid, _has_none(column, str(node.type)))


def _decimal(column: Array, node: Typed) -> Outcome:
    target = node.type
    found, digits = w.whole(column), target.scale - w.scale_of(column)
    scaled = w.times_ten(found, digits) if digits >= 0 else w.half_even(found, -digits)
    values, bad = w.fitting(arrow_type(target), scaled, validity(column))
    return values if bad is None else Failing(values, bad, _has_none(column, str(target)))


def _integer(column: Array, _: Typed) -> Outcome:
    found, valid = w.whole(column), validity(column)
    rounded = w.half_even(found, w.scale_of(column))
    values, bad = w.fitting(pa.int64(), rounded, valid)
    broken = np.array(w.times_ten(rounded, w.scale_of(column)) != found, np.bool_)
    lost = broken if bad is None else broken | bad
    return _failing(values, lost, valid, _has_none(column, "int64", "; round, floor or ceil makes one"))


def _local(moments: Array, node: Typed) -> Outcome:
    """Local times lie up to a day beside those of UTC, and so may leave the years 1 to 9999."""
    zone = str(node.settings[0])
    local = local_times(moments, zone)
    found, valid = numbers(local), validity(local)
    bad = np.array((found < FIRST) | (found > LAST), np.bool_)
    return _failing(local, bad, valid, lambda _: f"the local time in {zone} lies outside the years 1 to 9999")


def _moments(times: Array, node: Typed) -> Outcome:
    """A time that clocks skip, or show twice, is no moment."""
    local, zone = times.cast(pa.timestamp("us")), str(node.settings[0])
    found, valid = numbers(local), validity(local)
    earlier, later, seen = moments_of(found, zone)
    outside = (earlier < FIRST) | (later > LAST)
    values = from_numbers(pa.timestamp("us", tz="UTC"), earlier, valid)

    def reason(row: int) -> str:
        if outside[row]:
            return f"{shown(local, row)} lies outside the years 1 to 9999 in UTC"
        return f"clocks in {zone} show {shown(local, row)} {'twice' if seen[row] else 'never'}"

    return _failing(values, ~seen | (earlier != later) | outside, valid, reason)


def _text(column: Array) -> Array:
    if pa.types.is_timestamp(column.type):
        return _stripped(pc.cast(column, pa.utf8()))
    text = pc.cast(canonical(column), pa.utf8())
    if pa.types.is_decimal(column.type):
        short = pc.match_substring(text, "E")
        if pc.any(short).as_py():
            plain = [f"{value:f}" for value in column.filter(short).to_pylist() if isinstance(value, Decimal)]
            return pc.replace_with_mask(text, pc.fill_null(short, False), pa.array(plain, pa.utf8()))
    return text


def _stripped(times: Array) -> Array:
    """Without zeros at the end of a fraction of a second, and without a fraction of none."""
    for pattern in (_FRACTION_ZEROS, _FRACTION_POINT):
        times = pc.replace_substring_regex(times, pattern, r"\1\2" if pattern is _FRACTION_ZEROS else r"\1")
    return times


def _doubles(column: Array, _: Typed) -> Array:
    return from_numbers(pa.float64(), numbers(column).astype(np.float64), validity(column))


def _nearest(column: Array, _: Typed) -> Array:
    found = w.quotient(w.whole(column), w.times_ten(np.ones(1, np.int64), w.scale_of(column)))
    return from_numbers(pa.float64(), found, validity(column))


def _dates(column: Array, _: Typed) -> Array:
    return from_numbers(pa.date32(), numbers(column) // DAY, validity(column))


_CASTS: dict[tuple[Kind, Kind], Callable[[Array, Typed], Outcome]] = {
    ("int64", "float64"): _doubles,
    ("int64", "decimal"): _decimal,
    ("float64", "int64"): _whole_doubles,
    ("float64", "decimal"): _rounded_doubles,
    ("decimal", "int64"): _integer,
    ("decimal", "float64"): _nearest,
    ("decimal", "decimal"): _decimal,
    ("date", "timestamptz"): _moments,
    ("timestamp", "date"): _dates,
    ("timestamp", "timestamptz"): _moments,
    ("timestamptz", "timestamp"): _local,
}
"""The casts for which Arrow's own would not do; to text there is `_text`."""


def _cast(node: Typed, operands: Operands) -> Outcome:
    column = array(operands[0])
    if node.type.kind == "string":
        return _text(column)
    cast = _CASTS.get((node.operands[0].type.kind, node.type.kind))
    return cast(column, node) if cast else column.cast(arrow_type(node.type))


KERNELS: dict[str, Kernel] = {"cast": _cast}
