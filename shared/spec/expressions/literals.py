"""Literals of an expression as values of a type: their own, or that of the values beside them."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from shared.spec.expressions.tree import ExpressionError, Typed, Value
from shared.spec.names import quote
from shared.spec.types import BOOL, FLOAT64, INT64, NULL, STRING, DataType, Kind

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(rf"{_DATE.pattern}(?:[ T][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,6}})?)?)?")
_OFFSET = re.compile(r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$")
_SPELLING = {
    "date": "YYYY-MM-DD",
    "timestamp": "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS",
    "timestamptz": "YYYY-MM-DD HH:MM:SS, with or without an offset such as Z or +09:00",
}


def literal(value: Value, at: int) -> Typed:
    """The literal as a node of its own type; whole numbers beyond 64 bits are decimals."""
    return Typed("literal", _own_type(value), at=at, value=value)


def _own_type(value: Value) -> DataType:
    match value:
        case None:
            return NULL
        case bool():
            return BOOL
        case int():
            return INT64 if -(2**63) <= value < 2**63 else digits_of(value)
        case float():
            return FLOAT64
        case Decimal():
            return digits_of(value)
        case _:
            return STRING


def digits_of(value: int | Decimal) -> DataType:
    """The narrowest decimal that holds *value* with the digits that are written."""
    scale = -int(Decimal(value).as_tuple().exponent)
    return DataType("decimal", max(len(Decimal(value).as_tuple().digits), scale, 1), scale)


def as_type(node: Typed, target: DataType, zone: str) -> Typed:
    """A literal node as a literal of *target*, which its own type can be brought to."""
    value = node.value
    match target.kind:
        case _ if value is None:
            pass
        case "float64":
            value = float(value)  # type: ignore[arg-type]  # a number
        case "decimal":
            value = Decimal(value)  # type: ignore[arg-type]  # exact, or a whole number
        case "timestamp" if type(value) is date:
            value = datetime(value.year, value.month, value.day)  # noqa: DTZ001  # local, of no zone
        case "date" | "timestamp" | "timestamptz" if isinstance(value, str):
            value = _time(value, target.kind, zone, node.at)
    return Typed("literal", target, at=node.at, value=value)


def _time(text: str, kind: Kind, zone: str, at: int) -> date | datetime:
    refused = ExpressionError(at, f"{quote(text)} is no {kind}; write {_SPELLING[kind]}")
    offset = _OFFSET.search(text, 11) if kind == "timestamptz" else None
    plain = text[: offset.start()] if offset else text
    if not (_DATE if kind == "date" else _TIMESTAMP).fullmatch(plain) or (offset and len(plain) == 10):
        raise refused
    try:
        if kind == "date":
            return date.fromisoformat(plain)
        moment = datetime.fromisoformat(plain + (offset[0] if offset else ""))
    except ValueError:
        raise refused from None
    return moment if kind == "timestamp" else _in_zone(moment, zone, at)


def _in_zone(moment: datetime, zone: str, at: int) -> datetime:
    """In UTC; a time without an offset is one that clocks in *zone* show, and show once."""
    if moment.tzinfo or zone == "UTC":
        return _in_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC), at)
    earlier, later = (moment.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
    if earlier != later:
        often = "never" if (earlier or timedelta()) < (later or timedelta()) else "twice"
        raise ExpressionError(at, f"clocks in {zone} show {moment} {often}; write an offset such as +01:00")
    return _in_utc(moment.replace(tzinfo=ZoneInfo(zone)), at)


def _in_utc(moment: datetime, at: int) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ExpressionError(at, f"{moment} lies outside the years 1 to 9999 in UTC") from None
