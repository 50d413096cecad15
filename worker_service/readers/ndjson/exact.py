"""The meaning of a line of NDJSON, one line at a time.

A line is one JSON object in UTF-8. The names of fields are joined with dots: `{"user": {"id": 1}}` and
`{"user.id": 1}` both have a column `user.id`. A field that is missing is null. One that occurs twice in a
record makes a bad row, if it is used. Numbers keep their text. An array or object is its JSON text, without
spaces between the values. `NaN` and `Infinity` are numbers, as Python writes them.
"""

import json
import re
from collections.abc import Collection
from json.decoder import scanstring  # type: ignore[attr-defined] # as json itself uses it
from typing import Literal

from worker_service.readers.batch import Fault

Tag = Literal["string", "number", "bool", "json"]
Values = dict[str, tuple[Tag, str] | None]
"""By the name of the column: the kind of the value and its text, None for null."""

MAX_DEPTH = 500
"""Arrays and objects around a value."""
COLUMN_DEPTH = 100
"""Objects around a field that may be a column."""


class _Number(str):
    """The text of a number."""

    __slots__ = ()


_scan = json.scanner.make_scanner(json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str))  # type: ignore[attr-defined] # as json itself does
_scan_flat = json.scanner.make_scanner(  # type: ignore[attr-defined] # as json itself does
    json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_Number, object_pairs_hook=tuple)
)
_SPACE = re.compile(r"[ \t\r]*")
_BETWEEN = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r]+')
_OPENED = re.compile(r'"(?:[^"\\]|\\.)*"|([{\[])|([}\]])')
_TAGS: dict[str, Tag] = {'"': "string", "t": "bool", "f": "bool", "{": "json", "[": "json"}


class BadLine(Exception):
    """Carries the `Fault` of a line that is no record."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class Wanted:
    """The columns to look for; without *names*, all."""

    def __init__(self, names: Collection[str] | None = None) -> None:
        self._names = None if names is None else frozenset(names)
        self._around = {name[:at] for name in names or () for at, letter in enumerate(name) if letter == "."}

    def __contains__(self, name: str) -> bool:
        return self._names is None or name in self._names

    def inside(self, name: str, depth: int) -> bool:
        """Whether an object of the name may hold columns."""
        return name in self._around or (self._names is None and depth < COLUMN_DEPTH)


def values_of(line: bytes, wanted: Wanted) -> Values:
    """The values of the *wanted* columns; raises BadLine."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        told = f"byte {error.start} of the line is not UTF-8: 0x{line[error.start]:02x}"
        raise BadLine(Fault(told, unreadable=True)) from error
    if openings(line) > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise BadLine(Fault(f"values are nested more than {MAX_DEPTH} deep"))
    try:
        return _record(text, wanted)
    except json.JSONDecodeError as error:
        raise BadLine(Fault(_told(text, error.msg.removesuffix(" at"), error.pos))) from error
    except StopIteration as error:
        raise BadLine(Fault(_told(text, "Expecting value", error.value))) from error


def openings(line: bytes) -> int:
    """At least as many as arrays and objects are nested in *line*."""
    return line.count(b"{") + line.count(b"[")


def _depth(text: str) -> int:
    depth = most = 0
    for found in _OPENED.finditer(text):
        depth += (found[1] is not None) - (found[2] is not None)
        most = max(most, depth)
    return most


def _record(text: str, wanted: Wanted) -> Values:
    start = _SPACE.match(text).end()  # type: ignore[union-attr] # it matches the empty text too
    if not text.startswith("{", start):
        _scan(text, start)
        raise BadLine(Fault("no JSON object"))
    found = _flat(text, start, wanted)
    if found is not None:
        return found
    found = {}
    end = _object(text, start, "", 0, wanted, found)
    behind = _space(text, end)
    if text.startswith(",", behind) and _space(text, behind + 1) == len(text):
        raise json.JSONDecodeError("A comma behind the object", text, behind)
    if behind != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    for name, pair in found.items():
        if pair is not None:
            _check_text(name, pair[1])
    return found


def _flat(text: str, start: int, wanted: Wanted) -> Values | None:
    """The values of a record without arrays, inner objects and escapes, found faster; None for another one.

    None too where some name occurs twice, or for a fault.
    """
    if text.count("{") > 1 or "[" in text or "\\" in text:
        return None
    try:
        pairs, end = _scan_flat(text, start)
    except (StopIteration, json.JSONDecodeError):
        return None
    found = dict(pairs)
    if len(found) < len(pairs) or _space(text, end) != len(text):
        return None
    return {name: _tagged(value) for name, value in pairs if name in wanted}


def _tagged(value: str | bool | None) -> tuple[Tag, str] | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool", "true" if value else "false"
    return ("number", str(value)) if isinstance(value, _Number) else ("string", value)


def _object(text: str, at: int, prefix: str, depth: int, wanted: Wanted, found: Values) -> int:
    """Add to *found* the values of the object that begins at *at*; returns its end."""
    at = _space(text, at + 1)
    if text.startswith("}", at):
        return at + 1
    while True:
        if not text.startswith('"', at):
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = scanstring(text, at + 1, True)
        at = _space(text, at)
        if not text.startswith(":", at):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        at = _member(text, _space(text, at + 1), prefix + key, depth, wanted, found)
        at = _space(text, at)
        if text.startswith("}", at):
            return at + 1
        if not text.startswith(",", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _space(text, at + 1)


def _member(text: str, at: int, name: str, depth: int, wanted: Wanted, found: Values) -> int:
    """The value that begins at *at*, of the column *name*; returns its end."""
    if text.startswith("{", at) and wanted.inside(name, depth):
        value, end = None, _object(text, at, f"{name}.", depth + 1, wanted, found)
    else:
        value, end = _scan(text, at)
    if name in wanted:
        if name in found:
            raise BadLine(Fault("the field occurs twice in the record", name))
        found[name] = None if text.startswith("null", at) else _pair(text[at:end], value)
    return end


def _pair(raw: str, value: object) -> tuple[Tag, str]:
    tag = _TAGS.get(raw[0], "number")
    if isinstance(value, str) and tag == "string":
        return tag, value
    return tag, compact(raw) if tag == "json" else raw


def compact(raw: str) -> str:
    """JSON text without spaces between values."""
    return _BETWEEN.sub(r"\1", raw)


def _space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr] # it matches the empty text too


def _check_text(name: str, text: str) -> None:
    if "\0" in text:
        raise BadLine(Fault("the text holds the character NUL", name))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadLine(Fault(f"{text[error.start]!a} is half a character", name)) from error


def _told(text: str, message: str, at: int) -> str:
    return f"no JSON: {message} at byte {len(text[:at].encode(errors='replace'))} of the line"
