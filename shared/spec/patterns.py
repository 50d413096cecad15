"""Patterns of dates and times, as `datetime.strptime` reads them, with the directives that have one meaning.

Names of months and days are English. A pattern has each directive at most once, and gives a whole date.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from shared.spec.names import listed

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december")  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _first(names: tuple[str, ...], letters: int | None = None) -> str:
    return "|".join(name[:letters] for name in names)


DIRECTIVES = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "1[0-2]|0[1-9]|[1-9]",
    "b": _first(MONTHS, 3),
    "B": _first(MONTHS),
    "d": "3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9]",
    "j": "36[0-6]|3[0-5][0-9]|[12][0-9]{2}|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]",
    "a": _first(_DAYS, 3),
    "A": _first(_DAYS),
    "H": "2[0-3]|[01][0-9]|[0-9]",
    "I": "1[0-2]|0[1-9]|[1-9]",
    "p": "am|pm",
    "M": "[0-5][0-9]|[0-9]",
    "S": "[0-5][0-9]|[0-9]",
    "f": "[0-9]{1,6}",
    "z": "[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]|(?-i:Z)",
}
"""The text of each directive, as a regular expression that ignores case."""
_ALTERNATIVES = ("Yy", "mbBj", "dj", "HI")
"""Of each only one may occur."""
_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_PARTS = re.compile(r"%(.?)|\s+|[^%\s]+", re.DOTALL)


def parts(pattern: str) -> Iterator[tuple[str, str]]:
    """(directive, "") or ("", text between directives), in order."""
    for found in _PARTS.finditer(pattern):
        match found[1]:
            case None:
                yield "", found[0]
            case "%":
                yield "", "%"
            case name:
                yield name, ""


@lru_cache(maxsize=64)
def expression(pattern: str) -> str:
    """A regular expression for whole texts, for RE2 and `re`; its groups are named after the directives."""
    return rf"(?i)^{''.join(_part(name, literal) for name, literal in parts(pattern))}$"


def _part(name: str, literal: str) -> str:
    if name:
        return f"(?P<{name}>{DIRECTIVES[name]})"
    return f"[ \\t{_SPACES}]+" if literal.isspace() else re.escape(literal)


def directives(pattern: str) -> list[str]:
    return [name for name, literal in parts(pattern) if not literal]


def faults(pattern: str, kind: str) -> Iterator[str]:
    """The faults of *pattern* for a column of *kind*."""
    names = directives(pattern)
    unknown = [f"%{name}" for name in dict.fromkeys(names) if name not in DIRECTIVES]
    if unknown:
        there_are = " ".join(f"%{name}" for name in DIRECTIVES)
        yield f"{listed(unknown)} cannot be read; the directives are {there_are} and %%"
        return
    for group in _ALTERNATIVES:
        given = [f"%{name}" for name in names if name in group]
        if len(given) > 1:
            yield f"{' and '.join(given)} say the same thing twice"
    yield from (f"%{name} occurs twice" for name in "paAMSfz" if names.count(name) > 1)
    have = set(names)
    if not have & set("Yy") or not ((have & set("mbB") and "d" in have) or "j" in have):
        yield "a date needs a year (%Y or %y), a month (%m, %b or %B) and a day (%d); or a year and %j"
    if ("p" in have) != ("I" in have):
        yield "%I and %p go together; %H is the hour from 0 to 23"
    if "z" in have and kind != "timestamptz":
        yield f"%z makes a moment, and the type is {kind}; declare timestamptz"
