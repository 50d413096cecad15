"""JSON that is not one object a line: its name, and the command that makes NDJSON or CSV of it.

Pure, like `signatures`: the first bytes in, a name and a cure out.
"""

import codecs
import json
import re
from typing import NamedTuple

_AS_LINES = "write one object a line (NDJSON), as"
_HEADLESS = "and set csv.header to false if the first line has no names"
_VALUE = rb'(?:"(?:[^"\\\r\n]|\\.)*"|-?\d[\d.eE+-]*|null|true|false)'
_ARRAY = re.compile(rb"\[\s*(?:[\[{]|\]\s*\Z|%b\s*(?:,|\]\s*\Z))" % _VALUE)
_ARRAYS = re.compile(rb"\[\s*\[")
_VALUES = re.compile(rb"\[\s*%b" % _VALUE)
_ROWS = re.compile(rb"\[[^\r\n]*\][ \t]*\r?\n\s*\[")
"""A line that is an array, and another one."""
_DOCUMENT = re.compile(rb'\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})')
_MEMBER = re.compile(rb'\{\s*(?:"\w+"\s*:\s*%b\s*,\s*)*"(\w+)"\s*:\s*\[\s*\{' % _VALUE, re.ASCII)
"""A document whose first array of objects stands behind plain values."""


class Shape(NamedTuple):
    """`name` has its article. A `document` may also be NDJSON whose first line is damaged."""

    name: str
    cure: str
    document: bool = False


def json_shape(start: bytes) -> Shape | None:
    """The shape of content that begins with *start*, if that is JSON; None for other text.

    A whole object in the first line is a document too.
    """
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if _ends_in_comma(text):
        remove = "remove the comma at the end of each line, as `sed 's/,[[:space:]]*$//'` does"
        return Shape("JSON with commas between the lines", remove)
    if _ARRAY.match(text):
        return _array(text)
    if _DOCUMENT.match(text):
        inside = _MEMBER.match(text)
        items = f"; {items_of(inside[1].decode())} writes those of the array in it" if inside else ""
        return Shape("a JSON document", f"{_AS_LINES} `jq -c .` does{items}", document=True)
    return None


def items_of(*keys: str) -> str:
    """The command that writes the items of an array, one a line; *keys* lead to it."""
    parts = (key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else json.dumps(key) for key in keys)
    return f"`jq -c '.{'.'.join(parts)}[]'`"


def _array(text: bytes) -> Shape:
    if _ROWS.match(text):
        return Shape("a JSON array in each line", f"write CSV, as `jq -r @csv` does, {_HEADLESS}")
    if _ARRAYS.match(text):
        return Shape("a JSON array of arrays", f"write CSV, as `jq -r '.[] | @csv'` does, {_HEADLESS}")
    if _VALUES.match(text):
        return Shape("a JSON array of values", f"write one value a line, as `jq -r '.[]'` does, {_HEADLESS}")
    return Shape("a JSON array", f"{_AS_LINES} `jq -c '.[]'` does")


def _ends_in_comma(text: bytes) -> bool:
    line = text.partition(b"\n")[0].rstrip()
    if not line.startswith(b"{") or not line.endswith(b","):
        return False
    try:
        return isinstance(json.loads(line[:-1]), dict)
    except (ValueError, RecursionError):
        return False
