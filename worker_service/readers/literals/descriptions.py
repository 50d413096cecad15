"""Finds entries of `source.types` that may describe how some texts are written.

One function for each family of types: the table of cures. An entry is only a proposal, and `readings`
converts the texts by it. Where two entries give different values for the same texts, both are proposed.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from shared.spec.patterns import expression
from shared.spec.source import CsvOptions
from shared.spec.types import DataType, parse_type

Entry = dict[str, Any]
Counted = Mapping[str, int]
"""Distinct texts without white space around them, and how often each occurs."""

_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_CURRENCY = re.compile(
    r"(?i)((us|ca?|au?|r|nz|hk|s)\$)?|usd|eur|gbp|jpy|chf|cny|inr|krw|kr\.?|zł|kč|fr\.?|rs\.?"
)
_AMOUNT = re.compile(
    rf"(?P<head>[^0-9.,]*)(?P<body>[.,]?[0-9](?:[0-9.,'’_{_SPACES}]*[0-9])?[.,]?)"
    r"(?P<exponent>[eE][-+]?[0-9]+)?(?P<tail>[^0-9]*)"
)
_UNIT = r"[^\s]{1,4}"
"""A unit that all numbers of a column may have, such as kg."""
_MARKS = [(".", None), (".", ","), (",", None), (",", "."), *((d, t) for t in f"{_SPACES}'’_" for d in ".,")]
"""Decimal mark and thousands mark, the more usual pairs first."""
_WORDS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"), ("1", "0"))
_DATES = (
    "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y",
    "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%a, %d %b %Y", "%d/%b/%Y", "%d-%m-%y", "%m-%d-%y", "%d %b %y",
    "%b-%d-%Y", "%d. %m. %Y", "%Y. %m. %d.", "%Y年%m月%d日",
)  # fmt: skip
_TIMES = (
    "", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p",
)  # fmt: skip
_LONGEST_DATE = 20
_OFFSETS = ("", "%z", " %z", " UTC", " GMT")
_MOMENT = re.compile(r"(?P<date>.+?)(?P<gap>,? |T|:)(?P<time>[0-9]{1,2}:.*)")
_WHOLE = (
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%S%z",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
)
"""Patterns whose parts have other places."""
_COMPACT = re.compile(r"(?a)\d{8}(T?\d{6}(\D.*)?)?")
"""A time without marks between its numbers has all their digits: `2024112` may be two days."""


@dataclass(frozen=True, slots=True)
class _Amount:
    """A number as it is written: `body` has its digits and marks."""

    head: str
    body: str
    exponent: str
    tail: str

    @property
    def noise(self) -> str:
        """The characters to strip, beside signs; also the spaces between them and the number."""
        return re.sub(rf"[{_SPACES}]?%|[-+(){_MINUS}]", "", self.head + "\n" + self.tail).replace("\n", "")

    @property
    def unit(self) -> str:
        """Letters that are no currency."""
        word = self.noise.strip(_SPACES)
        letters = "".join(c for c in word if unicodedata.category(c) != "Sc").strip(_SPACES)
        return "" if not letters or _CURRENCY.fullmatch(word) else letters

    def value(self, decimal: str, thousands: str | None) -> str | None:
        """The body in our own spelling; None if it does not have these marks."""
        if not self.body.isdigit() and not _number_with(decimal, thousands).fullmatch(self.body):
            return None
        return self.body.replace(thousands or "\n", "").replace(decimal, ".")


_LONGEST = 100
"""Characters of an amount: a longer text of digits is an identifier."""


@cache
def _number_with(decimal: str, thousands: str | None) -> re.Pattern[str]:
    t, d = (re.escape(mark) if mark else "(?!)" for mark in (thousands, decimal))
    whole = rf"[0-9]+|[0-9]{{1,3}}(?:{t}[0-9]{{3}})+|[0-9]{{1,2}}(?:{t}[0-9]{{2}})+{t}[0-9]{{3}}"
    return re.compile(rf"(?:{whole})(?:{d}[0-9]*)?|{d}[0-9]+")


def _amounts(counted: Counted) -> dict[str, _Amount]:
    """Amounts among the texts, in one unit at most: a sum over several would be wrong."""
    found = {
        text: _Amount(**m.groupdict(""))
        for text in counted
        if len(text) <= _LONGEST and (m := _AMOUNT.fullmatch(text))
    }
    found = {
        text: amount
        for text, amount in found.items()
        if not (amount.body[-1] in ".," and amount.tail.startswith("-"))  # "5.-" is not negative
        and (not amount.unit or (not amount.head and re.fullmatch(_UNIT, amount.unit)))
    }
    weights: dict[str, int] = {}
    for text, amount in found.items():
        weights[amount.unit] = weights.get(amount.unit, 0) + counted[text]
    units = sorted((unit for unit in weights if unit), key=lambda unit: -weights[unit])
    kept = {"", *units[:1]} if units and weights[units[0]] > weights.get("", 0) else {""}
    return {text: amount for text, amount in found.items() if amount.unit in kept}


def numbers(counted: Counted, csv: CsvOptions, given: str | None) -> list[Entry]:
    """A *given* decimal stays one, with more digits if it needs them."""
    amounts = _amounts(counted)
    if not amounts:
        return []
    marks = set("".join(amount.body for amount in amounts.values())) - set("0123456789")
    own = (csv.decimal, csv.thousands)
    pairs = [own, *(pair for pair in _MARKS if pair != own and marks & set(pair))]
    read = {pair: {text: amount.value(*pair) for text, amount in amounts.items()} for pair in pairs}
    weight = {
        pair: sum(counted[text] for text, value in values.items() if value is not None)
        for pair, values in read.items()
    }
    best = max(pairs, key=lambda pair: weight[pair])  # the first of equal ones
    if not weight[best]:
        return []
    equal = [pair for pair in pairs if weight[pair] == weight[best] and read[pair] != read[best]]
    plain = best == own and all(amount.body == text.lstrip("+-") for text, amount in amounts.items())
    chosen = [best] if plain else [best, *equal[:1]]  # a plain text is in our own spelling
    declared = parse_type(given) if given else None
    return [_number(amounts, read[pair], pair, csv, declared) for pair in chosen]


def _number(
    amounts: Mapping[str, _Amount],
    values: Mapping[str, str | None],
    marks: tuple[str, str | None],
    csv: CsvOptions,
    given: DataType | None,
) -> Entry:
    fit = {text: (amounts[text], value) for text, value in values.items() if value is not None}
    used = [amount for amount, _ in fit.values()]
    heads, tails = "".join(a.head for a in used), "".join(a.tail for a in used)
    decimal, thousands = marks
    if thousands is None and decimal == csv.thousands:  # no entry says that there is none
        thousands = "." if decimal == "," else ","
    forms = {
        "(5)": "(" in heads,
        "5-": "-" in tails,
        f"{_MINUS}5": _MINUS in heads,
    }
    negative = [form for form, seen in forms.items() if seen]
    entry: Entry = {
        "strip": "".join(dict.fromkeys("".join(a.noise for a in used))),
        "decimal": decimal if decimal != csv.decimal else "",
        "thousands": thousands if thousands != csv.thousands else "",
        "percent": "%" in tails,
        "negative": ["-5", *negative] if negative else [],
        "lenient": "+" in heads or any(re.match("0[0-9]", value) for _, value in fit.values()),
    }
    told = {key: value for key, value in entry.items() if value}
    return {"type": _number_type([value for _, value in fit.values()], used, told, given), **told}


def _number_type(values: list[str], amounts: list[_Amount], options: Entry, given: DataType | None) -> str:
    """Exact for whole numbers, and for amounts with at most two decimal places in another spelling."""
    if "percent" in options or any(amount.exponent for amount in amounts):
        return "float64"
    parts = [value.partition(".") for value in values]
    places = max(len(fraction) for _, _, fraction in parts)
    whole = max(len(digits.lstrip("0")) for digits, _, _ in parts)
    if given and given.kind == "decimal":
        scale = max(given.scale, places)
        precision = max(given.precision - given.scale, whole) + scale
        return f"decimal({precision},{scale})" if precision <= 38 else "float64"
    if not any(point for _, point, _ in parts):
        if all(int(digits) < 2**63 for digits, _, _ in parts):
            return "int64"
        return f"decimal({max(whole, 20)},0)" if whole <= 38 else "float64"
    if options and places <= 2 and whole <= 16:
        return "decimal(18,2)"
    rounded = any(int(float(digits)) != int(digits) for digits, point, _ in parts if not point)
    return f"decimal({max(whole + places, 18)},{places})" if rounded and whole + places <= 38 else "float64"


def bools(counted: Counted, _csv: CsvOptions, given: str | None) -> list[Entry]:
    """Words that come in pairs; both words of one pair have to occur, unless a bool is *given*.

    Of our own one is enough.
    """
    seen = {text.lower() for text in counted}
    if seen and seen <= {"true", "false"}:
        return [{"type": "bool"}]
    if not given and not any(true in seen and false in seen for true, false in _WORDS):
        return []
    pairs = [pair for pair in _WORDS if seen & set(pair)]
    if not pairs:
        return []
    return [{"type": "bool", "true": [true for true, _ in pairs], "false": [false for _, false in pairs]}]


def times(counted: Counted, _csv: CsvOptions, _given: str | None) -> list[Entry]:
    """Patterns, the one that fits the most texts first; both if day and month cannot be told apart."""
    rest = {text: fitting for text in counted if (fitting := _patterns(text))}
    chosen: list[str] = []
    doubtful: list[str] = []
    while rest and len(chosen) < 8:
        weight: dict[str, int] = {}
        for text, patterns in rest.items():
            for pattern in patterns:
                weight[pattern] = weight.get(pattern, 0) + counted[text]
        best = max(weight, key=lambda pattern: (weight[pattern], -_order(pattern)))
        other = _mirrored(best)
        if weight.get(other) == weight[best] and _differ(rest, best, other):
            doubtful.append(best)
        chosen.append(best)
        rest = {text: patterns - {other} for text, patterns in rest.items() if best not in patterns}
        rest = {text: patterns for text, patterns in rest.items() if patterns}
    if not chosen:
        return []
    alternatives = [chosen]
    if doubtful:
        alternatives.append([_mirrored(pattern) if pattern in doubtful else pattern for pattern in chosen])
    return [{"type": _time_type(chosen), "format": one[0] if len(one) == 1 else one} for one in alternatives]


def _patterns(text: str) -> frozenset[str]:
    """All patterns of the tables that fit *text*."""
    moment = _MOMENT.fullmatch(text)
    date, gap, time = moment.groups() if moment else (text, "", "")
    days = [pattern for pattern in _DATES if _fits(date, pattern)] if len(date) <= _LONGEST_DATE else []
    clocks = [t + z for t in _TIMES for z in (_OFFSETS if t else ("",)) if _fits(time, t + z)] if days else []
    found = {day + gap + clock for day in days for clock in clocks}
    found.update(pattern for pattern in _WHOLE if _fits(text, pattern))
    return frozenset(found if _COMPACT.fullmatch(text) else found - _unmarked(found))


def _unmarked(patterns: Iterable[str]) -> set[str]:
    return {pattern for pattern in patterns if pattern.startswith("%Y%m%d")}


def _fits(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if not re.match(expression(pattern), text):
        return False
    try:
        datetime.strptime(text, pattern)  # noqa: DTZ007  # asks only whether it fits
    except ValueError:
        return False
    return True


def _order(pattern: str) -> int:
    return next((i for i, date in enumerate(_DATES) if pattern.startswith(date)), len(_DATES))


def _mirrored(pattern: str) -> str:
    """The pattern with day and month exchanged; itself where months have names."""
    if "%m" not in pattern or pattern.startswith("%Y"):
        return pattern
    return pattern.replace("%m", "\0").replace("%d", "%m").replace("\0", "%d")


def _differ(texts: Iterable[str], left: str, right: str) -> bool:
    return left != right and any(
        datetime.strptime(text, left) != datetime.strptime(text, right)  # noqa: DTZ007  # only compared
        for text in texts
        if _fits(text, left) and _fits(text, right)
    )


def _time_type(patterns: list[str]) -> str:
    if any("%z" in pattern for pattern in patterns):
        return "timestamptz"
    return "timestamp" if any("%M" in pattern for pattern in patterns) else "date"


FAMILIES: dict[str, Callable[[Counted, CsvOptions, str | None], list[Entry]]] = {
    "number": numbers,
    "bool": bools,
    "time": times,
}
FAMILY = {
    "int64": "number", "float64": "number", "decimal": "number", "bool": "bool",
    "date": "time", "timestamp": "time", "timestamptz": "time",
}  # fmt: skip
