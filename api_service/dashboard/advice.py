"""Texts that a person would read as numbers or days, and the types that read them so. Pure."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.core.look import Look

MOST_COLUMNS = 200
NULLS = frozenset({"-", "--", ".", "?", "n/a", "na", "#n/a", "nan", "nil", "none", "null"})
"""Spellings that are no values, in small letters."""
_SAID = {"type": "type", "format": "format", "decimal": "decimal mark", "thousands": "thousands mark"} | {
    "strip": "strip",
    "null_values": "null",
}
_DAYS, _COMMAS, _MARKED = "days", "numbers with a comma", "numbers with a sign beside them"
_CHOICES = {
    _DAYS: "declare the type date with the format %d/%m/%Y or %m/%d/%Y",
    _COMMAS: "declare the type float64, with the comma as decimal mark or as thousands mark",
    _MARKED: "declare the type float64 and the signs to strip, if all values are of one unit",
}
_SIGNS, _MARK = re.compile(r"[0-9.,-]"), re.compile(r"[0-9.,\s-]")
_GROUPED = re.compile(r"[^0-9]*[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?[^0-9]*")


@dataclass(frozen=True, slots=True)
class Advice:
    """A column and the values that it seems to have.

    *cure* is its entry of `source.types`, empty if a person has to choose.
    """

    column: str
    like: str
    cure: dict[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> str:
        read = ", ".join(f"{_SAID[name]} {_shown(value)}" for name, value in self.cure.items())
        return f"{self.column} looks like {self.like}: {read or _CHOICES[self.like]}."


def _shown(value: str | list[str]) -> str:
    return " ".join(f"“{text}”" for text in ([value] if isinstance(value, str) else value))


def _comma(texts: Sequence[str]) -> dict[str, Any]:
    """None where each comma may as well part thousands."""
    if all(re.search(r",[0-9]{3}$", text) and "." not in text for text in texts):
        return {}
    groups = {"thousands": "."} if any("." in text for text in texts) else {}
    return {"type": "float64", "decimal": ","} | groups


def _dotted_day(_: Sequence[str]) -> dict[str, Any]:
    return {"type": "date", "format": ["%d.%m.%Y"]}


def _slashed_day(texts: Sequence[str]) -> dict[str, Any]:
    """By a number above 12; without one, a person has to say."""
    first, second = (max(int(text.split("/")[no]) for text in texts) for no in (0, 1))
    if (first > 12) == (second > 12):
        return {}
    return {"type": "date", "format": ["%d/%m/%Y" if first > 12 else "%m/%d/%Y"]}


def _signed(texts: Sequence[str]) -> dict[str, Any]:
    """None for signs of several units, for other signs than those of money and percent, and odd commas."""
    marks = {_MARK.sub("", text) for text in texts} - {""}
    if len(marks) > 1 or not all(map(_is_unit, marks)):
        return {}
    grouped = [text for text in texts if "," in text]
    if not all(map(_GROUPED.fullmatch, grouped)):
        return {}
    if grouped and not any("." in text or text.count(",") > 1 for text in grouped):
        return {}
    signs = "".join(sorted({sign for text in texts for sign in _SIGNS.sub("", text)}, reverse=True))
    return {"type": "float64"} | ({"strip": signs} if signs else {}) | ({"thousands": ","} if grouped else {})


def _is_unit(mark: str) -> bool:
    return mark == "%" or unicodedata.category(mark[0]) == "Sc" or re.fullmatch("[A-Z]{3}", mark) is not None


_LIKE: tuple[tuple[re.Pattern[str], str, Callable[[Sequence[str]], dict[str, Any]]], ...] = (
    (re.compile(r"-?[0-9]{1,3}(\.?[0-9]{3})*,[0-9]+"), _COMMAS, _comma),
    (re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}"), _DAYS, _dotted_day),
    (re.compile(r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}"), _DAYS, _slashed_day),
    (
        re.compile(r"\W{0,2}-?[0-9][0-9,]*(\.[0-9]+)?( ?[A-Z]{3}| ?[€$£¥₩%])?"),
        _MARKED,
        _signed,
    ),
)


def advice(look: Look) -> list[Advice]:
    """For the columns of text whose values in the sample, but for nulls, are all alike."""
    found = []
    for column in look.columns[:MOST_COLUMNS]:
        texts = [row.values.get(column.name) for row in look.sample if row.values is not None]
        if column.type == "string" and not column.declared:
            found += _of_column(column.name, [text for text in texts if isinstance(text, str)])
    return found


def looks_like(text: str) -> str:
    """The words of Advice.like that fit one text; empty if none do."""
    return next((words for like, words, _ in _LIKE if like.fullmatch(text)), "")


def _of_column(name: str, texts: Sequence[str]) -> list[Advice]:
    nulls = sorted({text for text in texts if text.strip().lower() in NULLS})
    values = [text for text in texts if text and text not in nulls]
    if not values or all(map(str.isdecimal, values)):
        return []
    for like, words, cure in _LIKE:
        if all(map(like.fullmatch, values)):
            entry = cure(values)
            return [Advice(name, words, entry | ({"null_values": nulls} if entry and nulls else {}))]
    return []
