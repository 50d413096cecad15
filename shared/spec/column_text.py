"""The object form of a type: how the values of one column are written."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import model_validator

from shared.spec import values as v
from shared.spec.faults import Location, raise_faults
from shared.spec.names import quote
from shared.spec.objects import ADDED, SpecObject
from shared.spec.patterns import faults
from shared.spec.types import Kind, parse_type

_NUMBERS: tuple[Kind, ...] = ("int64", "float64", "decimal")
_TIMES: tuple[Kind, ...] = ("date", "timestamp", "timestamptz")
_KINDS: dict[str, tuple[Kind, ...]] = {
    "format": _TIMES,
    "decimal": _NUMBERS,
    "thousands": _NUMBERS,
    "percent": ("float64", "decimal"),
    "negative": _NUMBERS,
    "lenient": _NUMBERS,
    "true": ("bool",),
    "false": ("bool",),
}
"""The types that an option means something for; the others of an object fit every type."""
_DIGITS = "0123456789"
_SIGNS = "+-()\N{MINUS SIGN}"


class ColumnText(SpecObject):
    """The type of a column, and how its values are written.

    None stands for the default of `CsvOptions`. `format` has patterns of strptime; the first one that fits
    counts.
    """

    type: v.TypeName
    format: Annotated[tuple[v.Spelling, ...], v.one_or_many, v.at_most(16), ADDED] = ()
    decimal: Annotated[v.Character | None, ADDED] = None
    thousands: Annotated[v.Character | None, ADDED] = None
    strip: Annotated[v.Spelling | None, ADDED] = None
    trim: Annotated[v.Flag | None, ADDED] = None
    percent: Annotated[v.Flag, ADDED] = False
    negative: Annotated[tuple[Literal["-5", "(5)", "5-", "\N{MINUS SIGN}5"], ...], ADDED] = ("-5",)
    true: Annotated[tuple[v.Spelling, ...], v.at_most(100), ADDED] = ()
    false: Annotated[tuple[v.Spelling, ...], v.at_most(100), ADDED] = ()
    null_values: Annotated[tuple[v.NullValue, ...], v.at_most(1000), ADDED] = ()
    lenient: Annotated[v.Flag, ADDED] = False

    @model_validator(mode="after")
    def _options_of_the_type(self) -> Self:
        raise_faults(self._faults(parse_type(self.type).kind))
        return self

    def _faults(self, kind: Kind) -> Iterator[tuple[Location, str]]:
        for name, kinds in _KINDS.items():
            if getattr(self, name) != type(self).model_fields[name].default and kind not in kinds:
                yield (name,), f"{name} is for columns of {', '.join(kinds)}, and the type is {self.type}"
        if kind in _TIMES:
            yield from (
                (("format", i), told) for i, given in enumerate(self.format) for told in faults(given, kind)
            )
        special = _DIGITS + _SIGNS if kind in _NUMBERS else _DIGITS if kind in _TIMES else ""
        if own := [character for character in self.strip or "" if character in special]:
            yield ("strip",), f"{quote(own[0])} cannot be stripped: it is a part of the value"
        if self.percent and "%" in (self.strip or ""):
            yield ("strip",), "percent needs the percent sign; leave it out here"
        true, false = ({word.lower() for word in words} for words in (self.true, self.false))
        if both := sorted(true & false):
            yield ("false",), f"{quote(both[0])} is a spelling of true as well; case does not matter"


def mark_faults(
    decimal: str, thousands: str | None, strip: str | None = None
) -> Iterator[tuple[Location, str]]:
    """The faults of the marks of numbers, once the defaults of the file are filled in."""
    for name, mark in (("decimal", decimal), ("thousands", thousands)):
        if mark is not None and (mark.isalnum() or mark in _SIGNS + "%"):
            yield (name,), f"{quote(mark)} is a part of numbers; a mark is a character such as . or ,"
    if thousands == decimal:
        yield ("thousands",), f"{quote(decimal)} is the decimal mark; set decimal to the mark that is used"
    if decimal in (strip or ""):
        yield ("strip",), f"{quote(decimal)} cannot be stripped: it is the decimal mark"
