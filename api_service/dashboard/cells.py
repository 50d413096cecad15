"""The values of results as cells of a table: with every digit, and nulls unlike texts. Pure."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec

SHOWN, WHOLE = 80, 2000
"""Characters of a text that its cell shows, and those that the page holds."""
_NUMBERS = ("int64", "float64", "decimal")


@dataclass(frozen=True, slots=True)
class Cell:
    """*text* is shown. A *cut* one has the first WHOLE characters in *whole*.

    A longer one is read at *more*, a path of the HTTP API.
    """

    kind: Literal["null", "empty", "value", "cut"]
    text: str = ""
    whole: str = ""
    more: str = ""


def is_number(column_type: str) -> bool:
    return column_type.startswith(_NUMBERS) and not column_type.endswith("[]")


def cell(value: Any, more: Callable[[], str] | None = None) -> Cell:
    """*more* tells where a very long text can be read whole."""
    if value is None:
        return Cell("null", "null")
    if value == "":
        return Cell("empty", "empty text")
    shown = text(value)
    if len(shown) <= SHOWN:
        return Cell("value", shown)
    return Cell("cut", f"{shown[:SHOWN]}…", shown[:WHOLE], more() if more and len(shown) > WHOLE else "")


def text(value: Any) -> str:
    """The value as the HTTP API writes it: decimals and integers with all digits, times in ISO 8601."""
    match value:
        case str():
            return value
        case Decimal():
            return format(value, "f")
        case list():
            return f"[{', '.join(map(_element, value))}]"
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case date():
            return str(msgspec.to_builtins(value))
        case _:
            return msgspec.json.encode(value).decode()


def _element(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else text(value)
