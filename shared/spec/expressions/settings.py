"""The settings of functions: literals that are checked when the spec is, such as a unit or a pattern.

Each check returns the setting to keep, or raises ValueError, whose message follows "needs".
"""

from shared.spec.expressions.patterns import rewritten
from shared.spec.names import did_you_mean, quote
from shared.spec.patterns import directives, faults
from shared.spec.types import parse_type

UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
DAYS = frozenset(UNITS[3:])
"""Units from a day on."""
_ALSO_UNITS = {
    "s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week",
    "mo": "month", "mon": "month", "q": "quarter", "y": "year", "yr": "year",
}  # fmt: skip
_ALSO_TYPES = {
    "int": "int64", "integer": "int64", "bigint": "int64", "long": "int64", "float": "float64",
    "double": "float64", "real": "float64", "number": "float64", "str": "string", "text": "string",
    "varchar": "string", "boolean": "bool", "datetime": "timestamp", "numeric": "decimal(18,2)",
    "decimal": "decimal(18,2)",
}  # fmt: skip
MOST = 1_000_000
_LONGEST_PATTERN = 1_000


def any_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a literal text in quotes")  # noqa: TRY004  # the caller names the literal
    return value


def some_text(value: object) -> str:
    if not (text := any_text(value)):
        raise ValueError("a text that is not empty")
    return text


def _whole(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"a literal whole number from {least:,} to {most:,}")
    return value


def position(value: object) -> int:
    return _whole(value, 1, MOST)


def size(value: object) -> int:
    return _whole(value, 0, MOST)


def digits(value: object) -> int:
    return _whole(value, -38, 38)


def layout(value: object) -> str:
    """A pattern of strptime; with `%z` it gives a moment."""
    pattern = some_text(value)
    for wrong in faults(pattern, "timestamptz" if "z" in directives(pattern) else "timestamp"):
        raise ValueError(f"a pattern of strptime: {wrong}")
    return pattern


def unit(value: object) -> str:
    name = any_text(value)
    if name not in UNITS:
        guess = did_you_mean(name.lower().removesuffix("s"), UNITS, _ALSO_UNITS)
        raise ValueError(f"one of {', '.join(map(quote, UNITS))}{guess}")
    return name


def type_name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a type in quotes, such as 'int64'")  # noqa: TRY004  # the caller names the literal
    try:
        return str(parse_type(value))
    except ValueError as error:
        meant = _ALSO_TYPES.get(value.lower())
        raise ValueError(
            f"{error}{f'; did you mean {quote(meant)}?' if meant else ''}".removeprefix(
                f"{value!r} is not a type; use "
            )
        ) from error


def pattern(value: object) -> str:
    """The pattern as the engine needs it: its first group is named, and the others are no groups."""
    text = some_text(value)
    if len(text) > _LONGEST_PATTERN:
        raise ValueError(f"a pattern of at most {_LONGEST_PATTERN:,} characters")
    return rewritten(text)
