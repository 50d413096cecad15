"""Options that CSV seems to need: the encoding, and that the first line is no header. Pure."""

from dataclasses import dataclass

from api_service.dashboard.advice import advice, looks_like
from shared.core.look import Look
from shared.errors import InvalidEncoding, Problem

_UNREADABLE = "is not utf-8"
"""In the message of text that is no UTF-8 (worker_service.readers.csv); a bad row has no code."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A finding about the files, and the value of a field of the form that reads them so."""

    told: str
    field: str
    value: str


ENCODED = Reading(
    "Some of the text is not UTF-8. Files of Excel and of Windows are often windows-1252.",
    "/source/csv/encoding",
    "windows-1252",
)


def csv_advice(look: Look | None, problem: Problem | None) -> list[Reading]:
    """By the first rows, or by the *problem* of a dry run that could read none."""
    bad = [row.bad["detail"] for row in look.sample if row.bad] if look else []
    if problem and problem["code"] == InvalidEncoding.code:  # or the byte order mark is that of UTF-16
        bad.append(problem["detail"])
    found = [ENCODED] if any(_UNREADABLE in told for told in bad) else []
    names = _values_as_names(look) if look and look.csv and look.csv["header"] else []
    if names:
        told = f"The first line looks like data, not like names of columns: it has “{names[0]}”."
        found.append(Reading(told, "/source/csv/header", "false"))
    return found


def _values_as_names(look: Look) -> list[str]:
    """The names of columns that are a number or a day, as the values below them are; but for years."""
    alike = [
        each.column
        for each in advice(look)
        if not each.column.isdecimal() and each.like == looks_like(each.column)
    ]
    return alike + [column.name for column in look.columns if column.type == _typed(column.name)]


def _typed(name: str) -> str:
    """The type of a fraction or of a day; others are usual names, as a year is."""
    whole, _, part = name.partition(".")
    if whole.isdecimal() and part.isdecimal():
        return "float64"
    return (
        "date" if list(map(len, name.split("-"))) == [4, 2, 2] and name.replace("-", "").isdecimal() else ""
    )
