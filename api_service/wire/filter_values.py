"""The values of filters: text of a query parameter becomes a value of the column's type."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from shared.spec.types import Kind, parse_result_type

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,60}(\.[0-9]{0,60})?|\.[0-9]{1,60})")
_FLOAT = re.compile(
    r"[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?|inf|infinity)|nan", re.IGNORECASE
)
_DATE = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]")
_CLOCK = re.compile(
    r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]([T ][0-9][0-9]:[0-9][0-9](:[0-9][0-9](\.[0-9]{1,6})?)?)?"
    r"(?P<zone>Z|[+-][0-9][0-9]:?[0-9][0-9])?"
)
_LONGEST = 400
"""Characters of a value that is not a string: a double without an exponent may have nearly as many."""


def parse_filter_value(text: str, column_type: str) -> Any:
    """The value as its Python type; raises ValueError that says which form is expected."""
    of = parse_result_type(column_type)
    if of.array:
        raise ValueError(f"an array of {of.kind} cannot be compared; only __isnull can be asked of it")
    expected, parse = _PARSERS[of.kind]
    if of.kind != "string" and len(text) > _LONGEST:
        raise ValueError(
            f"{text[:_LONGEST] + '…'!r} is longer than {_LONGEST} characters; expected {expected}"
        )
    try:
        return parse(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not {expected}") from error


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return found


def _integer(text: str) -> int:
    number = int(_matched(_INTEGER, text)[0])
    if not -(2**63) <= number < 2**63:
        raise OverflowError(text)
    return number


def _float(text: str) -> float:
    number = float(_matched(_FLOAT, text)[0])
    if math.isinf(number) and "inf" not in text.lower():
        raise OverflowError(text)
    return number


def _string(text: str) -> str:
    if "\x00" in text:
        raise ValueError(text)
    text.encode()  # half a surrogate pair is no text
    return text


def _naive(text: str) -> datetime:
    if _matched(_CLOCK, text)["zone"]:
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _aware(text: str) -> datetime:
    if not _matched(_CLOCK, text)["zone"]:
        raise ValueError(text)
    return datetime.fromisoformat(text).astimezone(UTC)


_PARSERS: dict[Kind, tuple[str, Callable[[str], Any]]] = {
    "bool": (
        "true or false",
        lambda text: {"true": True, "false": False}[_matched(re.compile("true|false"), text)[0]],
    ),
    "int64": ("a whole number of 64 bits", _integer),
    "float64": ("a number", _float),
    "decimal": ("a decimal number", lambda text: Decimal(_matched(_DECIMAL, text)[0])),
    "string": ("a text without null characters", _string),
    "date": ("a date like 2026-01-31", lambda text: date.fromisoformat(_matched(_DATE, text)[0])),
    "timestamp": ("a time without a zone, like 2026-01-31T12:00:00", _naive),
    "timestamptz": ("a time with a zone, like 2026-01-31T12:00:00Z (a + in a URL is written %2B)", _aware),
}
