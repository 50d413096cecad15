"""Literals in our own spelling: Arrow's casts parse them, and texts beside the grammar are refused.

The casts are laxer than the grammar in a few ways, each of which is looked for in the text afterwards.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.types import DataType, Field, Kind
from worker_service.arrow import Array, Mask, arrow_type, numbers_of, string_bytes, validity
from worker_service.readers.literals.local_times import INSTANT

NO_TEXT = pa.scalar(None, pa.string())
_SPECIAL = pa.array(["nan", "-nan", "inf", "-inf", "infinity", "-infinity"])
_EXACT = 2.0**53
_AFTER_ZERO, _AFTER_ZEROS = np.frombuffer(b".eE", np.uint8), np.frombuffer(b".eE0123456789", np.uint8)
_DAY = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days from 1970-01-01."""
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
_GRAMMAR: dict[Kind, str] = {
    "bool": "(?i)^(?:true|false)$",
    "date": rf"^{_DATE}(?:[ T]00:00(?::00(?:\.0{{1,6}})?)?)?$",
    "timestamp": rf"^{_DATE}(?:{_TIME})?$",
    "timestamptz": rf"^{_DATE}{_TIME}(?:Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)$",
}
_KEYS: dict[Kind, str] = {
    "bool": "^(?:true|false)$",
    "timestamp": r"^.{10}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*[1-9])?$",
    "timestamptz": r"^.{10}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*[1-9])?\+00:00$",
}
"""A key that keeps its spelling has to match as well: it is the text that results show."""


class Misfit(Exception):
    """Some text of the column is no literal of the type."""


class OutOfYears(Misfit):
    """A value outside the years 1 to 9999. The arguments: a message, and the row, counted from 0."""


def grammar(kind: DataType, *, lenient: bool = False) -> str:
    """Every literal of a kind matches it. Not every match is one: a value may be out of range."""
    if kind.kind in _GRAMMAR:
        return _GRAMMAR[kind.kind]
    whole = "[0-9]+" if lenient else "(?:0|[1-9][0-9]*)"
    number = rf"(?:{whole}(?:\.[0-9]*)?|\.[0-9]+)"
    if kind.kind == "float64":
        return rf"(?i)^-?(?:{number}(?:e[-+]?[0-9]+)?|nan|inf(?:inity)?)$"
    if lenient:
        return rf"(?i)^-?{number}(?:e[-+]?[0-9]+)?$"
    if kind.kind == "int64":
        return f"^-?{whole}$"
    places, digits = kind.scale, kind.precision - kind.scale
    whole = f"(?:0|[1-9][0-9]{{0,{digits - 1}}})" if digits else "0"
    return rf"^-?(?:{whole}(?:\.[0-9]{{0,{places}}}0*)?|\.(?:0+|[0-9]{{1,{max(places, 1)}}}0*))$"


def strict(text: Array, field: Field, *, lenient: bool = False) -> Array:
    """The column of *field*'s Arrow type; raises Misfit.

    A timestamptz has an offset. A key that is not declared is a literal only as results would show it. A
    *lenient* number may have leading zeros and an exponent, and an int64 a point, if its value is whole.
    """
    try:
        values = _PARSERS[field.type.kind](text, field, lenient)
    except pa.ArrowInvalid as error:
        raise Misfit from error
    if field.key and not field.declared:
        if pattern := _KEYS.get(field.type.kind):
            _refuse(pc.any(pc.invert(pc.match_substring_regex(text, pattern))).as_py() or False)
        elif field.type.kind == "int64":
            _refuse(pc.any(pc.equal(text, "-0")).as_py() or False)
    return values


def _layout(text: Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Start and length of every text (length 0 where null), and the bytes that they point into.

    The bytes are padded, so that every start is valid.
    """
    bounds, octets = string_bytes(text)
    octets, lengths = octets[bounds[0] : bounds[-1]], np.diff(bounds)
    if (present := validity(text)) is not None:  # a null may cover bytes
        lengths = np.where(present, lengths, 0)
    padded = octets if len(bounds) > 1 and bounds[-1] > bounds[-2] else np.append(octets, np.uint8(0))
    return bounds[:-1] - bounds[0], lengths, padded


def _refuse(bad: npt.NDArray[np.bool_] | np.bool_ | bool) -> None:
    if np.any(bad):
        raise Misfit


def _check_digits(text: Array, *, lenient: bool) -> None:
    """Refuse a plus sign, leading zeros and hexadecimal: Arrow's casts take them, the grammar does not.

    Where it is *lenient*, leading zeros are allowed.
    """
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
    _refuse(~np.isin(second, _AFTER_ZEROS if lenient else _AFTER_ZERO))


def _bool(text: Array) -> Array:
    values = pc.cast(text, pa.bool_())
    _refuse(_layout(text)[1] == 1)
    return values


def _exact_number(text: Array, kind: DataType, *, lenient: bool) -> Array:
    try:
        values = pc.cast(text, arrow_type(kind))
    except pa.ArrowInvalid:
        if not (lenient and kind.kind == "int64"):
            raise
        values = pc.cast(text, pa.decimal128(38, 0)).cast(pa.int64())  # exact, or it fails
    _check_digits(text, lenient=lenient)
    if kind.kind == "decimal" and not lenient:
        octets = _layout(text)[2]
        if ((octets | 0x20) == ord("e")).any():  # in a text, or below a null
            _refuse(pc.any(pc.match_substring_regex(text, "[eE]")).as_py() or False)
    return values


def _float(text: Array, *, declared: bool, lenient: bool) -> Array:
    values = pc.cast(text, pa.float64())
    _check_digits(text, lenient=lenient)
    numbers = (pc.fill_null(values, 0.0) if values.null_count else values).to_numpy()
    if numbers.size and not (numbers.max() < _EXACT and numbers.min() > -_EXACT):  # a NaN is neither
        _check_large(text.filter(pa.array(~(np.abs(numbers) < _EXACT))), declared=declared)
    return values


def _check_large(text: Array, *, declared: bool) -> None:
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


def _date(text: Array, *, declared: bool) -> Array:
    """In a declared column a time of midnight may follow the date."""
    try:
        return in_years(pc.cast(text, pa.date32()))
    except pa.ArrowInvalid:
        if not declared:
            raise
    moments = _timestamp(text, pa.timestamp("us"))
    _refuse(numbers_of(pc.fill_null(moments, 0)) % _DAY != 0)
    return moments.cast(pa.date32())


def _timestamp(text: Array, target: pa.DataType) -> Array:
    values = pc.cast(text, target)
    starts, lengths, octets = _layout(text)
    _refuse((lengths > 10) & (lengths < 16))
    _refuse(octets[starts[lengths > 10] + 13] != ord(":"))
    return in_years(values)


def in_years(values: Array) -> Array:
    """Refuse dates and times, in UTC, outside the years 1 to 9999, where ISO 8601 ends.

    *values* are date32, or timestamps in microseconds. Raises OutOfYears.
    """
    outside = outside_years(values)
    if outside is not None:
        row = int(np.argmax(outside))
        raise OutOfYears(f"{values.slice(row, 1).cast(pa.string())[0]} lies outside the years 1 to 9999", row)
    return values


def outside_years(values: Array) -> Mask | None:
    """The rows whose values `in_years` refuses; None if there are none."""
    unit, numbers = (
        (1, values.view(pa.int32())) if pa.types.is_date32(values.type) else (_DAY, values.view(pa.int64()))
    )
    ends = pc.min_max(numbers)
    lowest, highest = ends["min"].as_py(), ends["max"].as_py()
    first, end = _FIRST_DAY * unit, (_LAST_DAY + 1) * unit
    if lowest is None or (lowest >= first and highest < end):
        return None
    outside = pc.or_(pc.less(numbers, first), pc.greater_equal(numbers, end))
    return np.asarray(pc.fill_null(outside, False).to_numpy(zero_copy_only=False), np.bool_)


_PARSERS: dict[Kind, Callable[[Array, Field, bool], Array]] = {
    "string": lambda text, _field, _lenient: text,
    "bool": lambda text, _field, _lenient: _bool(text),
    "int64": lambda text, field, lenient: _exact_number(text, field.type, lenient=lenient),
    "decimal": lambda text, field, lenient: _exact_number(text, field.type, lenient=lenient),
    "float64": lambda text, field, lenient: _float(text, declared=field.declared, lenient=lenient),
    "date": lambda text, field, _lenient: _date(text, declared=field.declared),
    "timestamp": lambda text, _field, _lenient: _timestamp(text, pa.timestamp("us")),
    "timestamptz": lambda text, _field, _lenient: _timestamp(text, INSTANT),
}
