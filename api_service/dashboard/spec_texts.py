"""How the values of a spec stand in the fields of a form. Pure.

Each `Writing` has two functions. `shown` makes the text of a field, empty where no text stands for the value.
`read` makes a value of a text. A text that is no number stays a text, so that the check of the spec
tells it.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?")
_ESCAPED = {"\t": r"\t", None: "none"}
"""Values of one character that cannot be typed, and how they are written."""
_FLAGS = {True: "true", False: "false"}


class Writing(NamedTuple):
    shown: Callable[[Any], str]
    read: Callable[[str], Any]


def _text(value: object) -> str:
    return value if isinstance(value, str) and not re.search(r"[\0\r\n]", value) else ""


def _several_lines(value: object) -> str:
    return value if isinstance(value, str) else ""


def _unix(text: str) -> str:
    """Browsers end the lines of a text field with a carriage return and a line feed."""
    return text.replace("\r\n", "\n")


def _whole(value: object) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _read_whole(text: str) -> int | str:
    return int(text) if _WHOLE.fullmatch(text) else text


def _flag(value: object) -> str:
    return _FLAGS[value] if isinstance(value, bool) else ""


def _read_flag(text: str) -> bool | str:
    return {shown: value for value, shown in _FLAGS.items()}.get(text, text)


def _mark(value: object) -> str:
    return next((written for of, written in _ESCAPED.items() if of == value), _text(value))


def _read_mark(text: str) -> str | None:
    return {written: value for value, written in _ESCAPED.items()}.get(text, text)


def _lines(value: object) -> str:
    return "\n".join(map(_text, value)) if isinstance(value, list) else ""


def _read_lines(text: str) -> list[str]:
    return [line for line in _unix(text).split("\n") if line]


def _pairs(value: object) -> str:
    """`key:value`, one a line, as the list of jobs is asked for labels."""
    return "\n".join(f"{key}:{_text(of)}" for key, of in value.items()) if isinstance(value, dict) else ""


def _read_pairs(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in _read_lines(text))
    return {key.strip(): of.strip() for key, _, of in pairs}


def _fractions(value: object) -> str:
    """A number, or the list of numbers."""
    return json.dumps(value) if isinstance(value, float | int | list) else ""


def _read_fractions(text: str) -> Any:
    inner = text.strip().removeprefix("[").removesuffix("]")
    read = [_read_number(part.strip()) for part in inner.split(",")]
    return read[0] if len(read) == 1 and "[" not in text else read


def _read_number(text: str) -> float | str:
    if not _NUMBER.fullmatch(text):
        return text
    number = float(text) if re.search(r"[.eE]", text) else int(text)
    return number if math.isfinite(number) else text


def _sheet(value: object) -> str:
    return _text(value) or _whole(value)


TEXT = Writing(_text, str)
SEVERAL_LINES = Writing(_several_lines, _unix)
WHOLE = Writing(_whole, _read_whole)
FLAG = Writing(_flag, _read_flag)
MARK = Writing(_mark, _read_mark)
LINES = Writing(_lines, _read_lines)
PAIRS = Writing(_pairs, _read_pairs)
FRACTIONS = Writing(_fractions, _read_fractions)
SHEET = Writing(_sheet, _read_whole)
