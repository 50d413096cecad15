"""One grammar of literals for each type, checked on the raw text of a whole column at a time.

| type        | literals |
|-------------|----------|
| bool        | `true`, `false` in any case |
| int64       | `-?(0|[1-9][0-9]*)` within 64 bits: no `+`, no leading zeros, no hexadecimal, no spaces |
| float64     | int64's, and with a point (`1.5`, `.5`, `5.`) or exponent (`1e5`, `1E-05`); |
|             | `nan`, `inf`, `infinity` in any case, with an optional `-` |
| decimal(p,s)| as float64, without exponent or names; the value must fit without rounding |
|             | (`1.500` fits scale 2, `1.505` does not) |
| date        | `YYYY-MM-DD`, years 0001 to 9999 |
| timestamp   | date's, and `YYYY-MM-DD[ T]HH:MM[:SS[.f]]` with one to six digits of fraction |
| timestamptz | timestamp's with a time and an offset: `Z`, `+HH:MM`, `+HHMM` or `+HH`; |
|             | in a declared column also timestamp's, taken in `source.timezone` |

A local time that a zone's clocks skip fits no timestamptz; one that they show twice is the earlier. A float
literal past the largest double, and in an undeclared column an integer literal that no double holds exactly,
do not fit float64.

Arrow's casts do the parsing. They are laxer than this grammar in a few ways, each of which is looked for in
the text afterwards.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.types import DataType, Field, Kind
from worker_service.arrow import Array, arrow_type, string_bytes

Column: TypeAlias = Array

_INSTANT = pa.timestamp("us", tz="UTC")
_SPECIAL = pa.array(["nan", "-nan", "inf", "-inf", "infinity", "-infinity"])
_NO_TEXT = pa.scalar(None, pa.string())
_EXACT = 2.0**53
_FEW = 64
_AFTER_ZERO = np.frombuffer(b".eE", np.uint8)
_DAY = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days from 1970-01-01."""
_BY_RULE = pa.scalar(datetime.fromisoformat("2037-01-01"), pa.timestamp("us"))
"""From then on clocks follow the rule at the end of a zone's data; before, their changes are listed."""
_EPOCH, _MICROSECOND = datetime.fromisoformat("1970-01-01"), timedelta(microseconds=1)
_ZONED = r".{10}[ T].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


class Misfit(Exception):
    """Some text of the column is no literal of the type."""


class OutOfYears(Misfit):
    """A value outside the years 1 to 9999. The arguments: a message, and the row, counted from 0."""


def convert(text: Column, field: Field, zone: str) -> Column:
    """The column of *field*'s Arrow type; raises Misfit.

    *zone* is the zone of naive texts in a declared timestamptz column.
    """
    try:
        return _CONVERTERS[field.type.kind](text, field, zone)
    except pa.ArrowInvalid as error:
        raise Misfit from error


def fits(text: Column, field: Field, zone: str) -> bool:
    """Whether `convert` accepts *text*.

    A cast makes an error message for each misfit, so a few values are tried before all.
    """
    if len(text) > _FEW and not fits(text.slice(0, _FEW), field, zone):
        return False
    try:
        convert(text, field, zone)
    except Misfit:
        return False
    return True


def narrowest(text: Column, kinds: Sequence[Kind], zone: str) -> Kind:
    """The first of *kinds* that holds every value; `string` holds them all."""
    return next(kind for kind in kinds if fits(text, Field("", DataType(kind)), zone))


def first_misfit(values: Column, accepts: Callable[[Column], bool]) -> int | None:
    """The first row that *accepts* refuses; None if it accepts all.

    Found by bisection: *accepts* refuses a range exactly if it refuses one of its values.
    """
    if accepts(values):
        return None
    low, high = 0, len(values)  # every row before low is accepted; [low, high) is refused
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepts(values.slice(low, middle - low)) else (low, middle)
    return low


def _layout(text: Column) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Start and length of every text (length 0 where null), and the bytes that they point into.

    The bytes are padded, so that every start is valid.
    """
    bounds, octets = string_bytes(text)
    octets, lengths = octets[bounds[0] : bounds[-1]], np.diff(bounds)
    padded = octets if len(lengths) and lengths[-1] else np.append(octets, np.uint8(0))
    return bounds[:-1] - bounds[0], lengths, padded


def _refuse(bad: npt.NDArray[np.bool_] | np.bool_ | bool) -> None:
    if np.any(bad):
        raise Misfit


def _check_digits(text: Column) -> None:
    """Refuse a plus sign, leading zeros and hexadecimal: Arrow's casts take them, the grammar does not."""
    starts, lengths, octets = _layout(text)
    first = octets[starts]
    odd = np.flatnonzero(first <= ord("0"))  # a sign, a point, a zero; the few that are worth a closer look
    odd = odd[lengths[odd] > 1]
    starts, lengths, first = starts[odd], lengths[odd], first[odd]
    _refuse(first == ord("+"))
    signed = first == ord("-")
    digits = lengths - signed
    starts = (starts + signed)[digits > 1]
    second = octets[starts[octets[starts] == ord("0")] + 1]
    _refuse(~np.isin(second, _AFTER_ZERO))


def _bool(text: Column) -> Column:
    values = pc.cast(text, pa.bool_())
    _refuse(_layout(text)[1] == 1)
    return values


def _exact_number(text: Column, kind: DataType) -> Column:
    values = pc.cast(text, arrow_type(kind))
    _check_digits(text)
    if kind.kind == "decimal":
        _refuse((_layout(text)[2] | 0x20) == ord("e"))
    return values


def _float(text: Column, *, declared: bool) -> Column:
    values = pc.cast(text, pa.float64())
    _check_digits(text)
    numbers = (pc.fill_null(values, 0.0) if values.null_count else values).to_numpy()
    if numbers.size and not (numbers.max() < _EXACT and numbers.min() > -_EXACT):  # a NaN is neither
        _check_large(text.filter(pa.array(~(np.abs(numbers) < _EXACT))), declared=declared)
    return values


def _check_large(text: Column, *, declared: bool) -> None:
    """Refuse literals past the largest double, and names that Arrow takes and the grammar does not.

    Unless the column is *declared*, refuse integers that would be rounded.
    """
    lowered = pc.ascii_lower(text)
    named = pc.is_in(lowered, value_set=_SPECIAL)
    digits = pc.filter(lowered, pc.invert(named)).to_pylist()
    _refuse(any(literal.startswith(("n", "-n")) or math.isinf(float(literal)) for literal in digits))
    _refuse(
        not declared
        and any(int(literal) != float(literal) for literal in digits if literal.lstrip("-").isdigit())
    )


def _timestamp(text: Column, target: pa.DataType) -> Column:
    values = pc.cast(text, target)
    starts, lengths, octets = _layout(text)
    _refuse((lengths > 10) & (lengths < 16))
    _refuse(octets[starts[lengths > 10] + 13] != ord(":"))
    return in_years(values)


def in_years(values: Column) -> Column:
    """Refuse dates and times, in UTC, outside the years 1 to 9999, where ISO 8601 ends.

    *values* are date32, or timestamps in microseconds. Raises OutOfYears.
    """
    unit, numbers = (
        (1, values.view(pa.int32())) if pa.types.is_date32(values.type) else (_DAY, values.view(pa.int64()))
    )
    ends = pc.min_max(numbers)
    lowest, highest = ends["min"].as_py(), ends["max"].as_py()
    if lowest is not None and (lowest < _FIRST_DAY * unit or highest >= (_LAST_DAY + 1) * unit):
        outside = pc.or_(
            pc.less(numbers, _FIRST_DAY * unit), pc.greater_equal(numbers, (_LAST_DAY + 1) * unit)
        )
        row = pc.index(outside, True).as_py()
        raise OutOfYears(f"{values.slice(row, 1).cast(pa.string())[0]} lies outside the years 1 to 9999", row)
    return values


def _timestamptz(text: Column, zone: str) -> Column:
    zoned = pc.match_substring_regex(text, _ZONED)
    aware = _timestamp(pc.if_else(zoned, text, _NO_TEXT), _INSTANT)
    naive = _timestamp(pc.if_else(zoned, _NO_TEXT, text), pa.timestamp("us"))
    return in_years(pc.coalesce(aware, in_zone(naive, zone)))


def in_zone(naive: Column, zone: str) -> Column:
    """The moments at which clocks in *zone* show the *naive* times, in microseconds, the earlier one of two.

    Raises pa.ArrowInvalid, or Misfit, for a time that they skip. Arrow knows listed changes, and no rule.
    """
    by_rule = pc.fill_null(pc.greater_equal(naive, _BY_RULE), False)
    if not pc.any(by_rule).as_py():
        return _listed(naive, zone)
    late = naive.filter(by_rule).dictionary_encode()  # the last day of all, mostly
    rule = ZoneInfo(zone)
    moments = pa.array([_moment(local, rule) for local in late.dictionary.to_pylist()], pa.int64())
    early = _listed(pc.if_else(by_rule, pa.scalar(None, naive.type), naive), zone)
    return pc.replace_with_mask(early, by_rule, moments.take(late.indices).view(early.type))


def _listed(naive: Column, zone: str) -> Column:
    local = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="raise")
    return pc.cast(local, _INSTANT)


def _moment(local: datetime, zone: ZoneInfo) -> int:
    """Microseconds since 1970, also where that is after the year 9999."""
    earlier, later = (local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    _refuse(earlier < later)  # clocks go forward over it
    return (local - _EPOCH - earlier) // _MICROSECOND


_CONVERTERS: dict[Kind, Callable[[Column, Field, str], Column]] = {
    "string": lambda text, _field, _zone: text,
    "bool": lambda text, _field, _zone: _bool(text),
    "int64": lambda text, field, _zone: _exact_number(text, field.type),
    "decimal": lambda text, field, _zone: _exact_number(text, field.type),
    "float64": lambda text, field, _zone: _float(text, declared=field.declared),
    "date": lambda text, _field, _zone: in_years(pc.cast(text, pa.date32())),
    "timestamp": lambda text, _field, _zone: _timestamp(text, pa.timestamp("us")),
    "timestamptz": lambda text, field, zone: (
        _timestamptz(text, zone) if field.declared else _timestamp(text, _INSTANT)
    ),
}
