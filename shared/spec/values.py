"""The kinds of value in a spec, each with its one check.

No message repeats a value that may be long or secret.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from shared.spec.buckets import bucket_width
from shared.spec.encodings import normal_encoding
from shared.spec.faults import fault
from shared.spec.functions import FUNCTIONS, SYNONYMS
from shared.spec.names import did_you_mean, quote, result_name_fault
from shared.spec.types import SIMPLE, parse_type
from shared.spec.uris import check_uri

_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,63}")
_DECIMAL_PLACES = 18
"""With so many the denominator of a decimal fraction fits 64-bit integers."""
RESULT_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_LONGEST = timedelta(days=3650)


def checked(check: Callable[[str], str]) -> AfterValidator:
    """A validator from a function that returns the text to keep or raises ValueError."""

    def validate(text: str) -> str:
        try:
            return check(text)
        except ValueError as error:
            raise fault(str(error)) from error

    return AfterValidator(validate)


def plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character is not allowed here")
    return text


def _result_column(name: str) -> str:
    if wrong := result_name_fault(name):
        raise ValueError(wrong)
    return name


def _result_name(name: str) -> str:
    if not RESULT_NAME.fullmatch(name):
        raise ValueError("a result's name is 1 to 48 of a-z, 0-9 and _, and starts with a letter")
    return name


def _label(key: str) -> str:
    if not _LABEL.fullmatch(key):
        raise ValueError("a label's key is 1 to 63 of A-Z, a-z, 0-9, _, . and -")
    return key


def _function(name: str) -> str:
    if name not in FUNCTIONS:
        guess = did_you_mean(name, FUNCTIONS, SYNONYMS)
        raise ValueError(f"{quote(name)} is not a function{guess or '; there are ' + ', '.join(FUNCTIONS)}")
    return name


def _type(text: str) -> str:
    try:
        return str(parse_type(text))
    except ValueError as error:
        raise ValueError(
            f"{quote(text)} is not a type; use one of {', '.join(SIMPLE)} or decimal(p,s) with s <= p <= 38"
        ) from error


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `15m`, `1h` or `30d`. Raises ValueError with the accepted spellings."""
    found = _DURATION.fullmatch(text)
    length = timedelta(seconds=int(found[1]) * _SECONDS[found[2]]) if found else _LONGEST * 2
    if length > _LONGEST:
        raise ValueError(
            f"{quote(text)} is no duration: write a whole number and one of s, m, h, d, such as 90s, 15m, 1h "
            "or 30d, up to 3650d"
        )
    return length


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _timezone(name: str) -> str:
    """UTC needs no time zone database."""
    try:
        return name if name == "UTC" else ZoneInfo(name).key
    except (ValueError, OSError, KeyError) as error:
        raise ValueError('not a time zone of the IANA database, such as "Asia/Seoul" or "UTC"') from error


def _character(text: str) -> str:
    if len(text) != 1 or text in "\r\n\0":
        raise ValueError("exactly one character, not a line end or NUL")
    return text


def _delimiter(text: str) -> str:
    if text != "auto" and (not 0 < len(text) <= 4 or not text.isascii() or set(text) & set("\r\n\0")):
        raise ValueError('"auto", or one to four ASCII characters without line ends and NUL')
    return text


def _many(value: object) -> object:
    return [value] if isinstance(value, str) else value


one_or_many = BeforeValidator(_many)
"""A string stands for an array of itself."""


def _fraction(number: float) -> float:
    """Abs, because -0.0 equals 0.0 and so must not change the digest.

    The decimal digits that JSON shows count, for kernels compute with them.
    """
    if number and -int(Decimal(repr(number)).as_tuple().exponent) > _DECIMAL_PLACES:
        raise fault(f"at most {_DECIMAL_PLACES} decimal places")
    return abs(number)


def at_most(most: int) -> BeforeValidator:
    """At most so many elements; the elements of an array that is too long are not checked."""

    def check(items: object) -> object:
        if isinstance(items, list | tuple | dict) and len(items) > most:
            raise fault(f"at most {most:,} elements, not {len(items):,}")
        return items

    return BeforeValidator(check)


def _not_empty(items: tuple[object, ...]) -> tuple[object, ...]:
    if not items:
        raise fault("at least one element is needed")
    return items


ColumnName = Annotated[str, Field(min_length=1, max_length=1000), checked(plain)]
"""A column of the dataset: any name that its header has."""
ResultColumn = Annotated[str, checked(_result_column)]
ResultName = Annotated[str, checked(_result_name)]
FunctionName = Annotated[str, checked(_function)]
TypeName = Annotated[str, checked(_type)]
Duration = Annotated[str, checked(_duration)]
BucketWidth = Annotated[str, checked(bucket_width)]
TimeZone = Annotated[str, Field(max_length=100), checked(_timezone)]
Encoding = Annotated[str, Field(max_length=40), checked(normal_encoding)]
Character = Annotated[str, checked(_character)]
Delimiter = Annotated[str, checked(_delimiter)]
Spelling = Annotated[str, Field(min_length=1, max_length=200), checked(plain)]
Uri = Annotated[str, checked(check_uri)]
NullValue = Annotated[str, Field(max_length=1000)]
LabelKey = Annotated[str, checked(_label)]
LabelValue = Annotated[str, Field(max_length=256), checked(plain)]

# Strict: neither "5" nor 5.0 nor true is an integer. Strings need no such care: pydantic never makes a string
# of anything else.
Flag = Annotated[bool, Strict()]
Integer = Annotated[int, Strict()]
Count = Annotated[Integer, Field(ge=0, le=2**63 - 1)]
Size = Annotated[Integer, Field(ge=1, le=2**63 - 1)]
Slots = Annotated[Integer, Field(ge=1, le=2**31 - 1)]
Fraction = Annotated[float, Strict(), Field(ge=0, le=1), AfterValidator(_fraction)]

NOT_EMPTY = AfterValidator(_not_empty)
"""Instead of `min_length`, which counts only valid elements and so would report one mistake twice."""
