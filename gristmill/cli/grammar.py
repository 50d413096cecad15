"""The small words of the command line: `--by`, `--agg`, `--type`, `--derive` and `--set` as parts of a spec.

A name of a column may stand in backticks, as in expressions. There `=`, `:` and spaces are text, and a
backtick is doubled. Everything else is checked by the service.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from gristmill.cli.mistakes import Mistake

PARAMETERS: dict[str, tuple[str, ...]] = {
    "arg_max": ("column", "by"),
    "arg_min": ("column", "by"),
    "bottom": ("column", "k"),
    "corr": ("y", "x"),
    "cov": ("y", "x"),
    "quantile": ("column", "q"),
    "sem": ("column", "ddof"),
    "std": ("column", "ddof"),
    "top": ("column", "k"),
    "var": ("column", "ddof"),
    **dict.fromkeys(
        ("all", "any", "count", "first", "last", "max", "mean", "median", "min", "mode", "nunique", "sum"),
        ("column",),
    ),
}
"""Function -> its parameters in the order in which `--agg` takes them."""
_NUMBERS = frozenset({"k", "q", "ddof"})
_WIDTH = re.compile(r"(\d+[a-z]+)(?:@(.+))?")
_WIDTHS = {
    "second": "1s",
    "minute": "1m",
    "hour": "1h",
    "day": "1d",
    "week": "1w",
    "month": "1mo",
    "quarter": "1q",
    "year": "1y",
}


def split(text: str, mark: str, most: int = -1) -> list[str]:
    """*text* cut at each *mark* outside of backticks, at most *most* times."""
    parts: list[str] = []
    at, begin, quoted = 0, 0, False
    while at < len(text):
        if text[at] == "`":
            quoted = not quoted
        elif not quoted and most != len(parts) and text.startswith(mark, at):
            parts.append(text[begin:at])
            at = begin = at + len(mark)
            continue
        at += 1
    return [*parts, text[begin:]]


def name(text: str) -> str:
    """The name that *text* stands for: its inside, if it stands in backticks."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "`":
        return text[1:-1].replace("``", "`")
    return text


def by(text: str) -> str | dict[str, str]:
    """An entry of `group_by`: `COLUMN`, or `[NAME=]COLUMN:WIDTH[@ZONE]` for a time bucket."""
    *alias, rest = split(text, "=", 1)
    *before, last = split(rest, ":")
    if not before:
        if alias:
            raise Mistake(
                f"--by {text!r}: write NAME=COLUMN:WIDTH, such as {alias[0]}={rest}:1mo. "
                f"For another name of a column, write --derive '{text}' --by {alias[0]}. {_backticks(text)}"
            )
        return _needed(name(rest), "--by", text, "COLUMN")
    width = _WIDTH.fullmatch(last)
    if width is None:
        meant = _WIDTHS.get(last.strip().lower().removesuffix("s"), "1mo")
        raise Mistake(
            f"--by {text!r}: {last!r} is no width of a time bucket; write a number and a unit, "
            f"such as {''.join(f'{one}=' for one in alias)}{':'.join(before)}:{meant}. {_backticks(rest)}"
        )
    column = _needed(name(":".join(before)), "--by", text, "[NAME=]COLUMN:WIDTH")
    bucket = {
        "time_bucket": width[1],
        "column": column,
        "tz": width[2],
        "as": name(alias[0]) if alias else None,
    }
    return {key: value for key, value in bucket.items() if value}


def aggregate(text: str) -> dict[str, Any]:
    """An entry of `aggregates`: `[NAME=]FUNCTION[:COLUMN[:PARAMETER]][ where EXPRESSION]`."""
    call, *where = split(text, " where ", 1)
    *alias, rest = split(call, "=", 1)
    function, *given = (name(part) for part in split(rest, ":"))
    parameters = PARAMETERS.get(function, ("column",))
    if function not in PARAMETERS:
        _not_a_call(text, rest, function, given)
    if len(given) > len(parameters):
        raise Mistake(
            f"--agg {text!r}: {function} takes {_listed(parameters)}, and these are {len(given)} values. "
            + _backticks(":".join(given))
        )
    entry: dict[str, Any] = {"fn": _needed(function, "--agg", text, "NAME=FUNCTION:COLUMN")}
    for parameter, value in zip(parameters, given, strict=False):
        entry[parameter] = _numbers(text, parameter, value) if parameter in _NUMBERS else value
    if where:
        entry["where"] = where[0].strip()
    if alias:
        entry["as"] = name(alias[0])
    return entry


def _not_a_call(text: str, call: str, function: str, given: Sequence[str]) -> None:
    """Say how to write it, if the function is written as in other tools."""
    prefix = text[: text.index(call)]
    if given and given[0] in PARAMETERS:
        raise Mistake(
            f"--agg {text!r}: the function comes first: "
            f"write '{prefix}{':'.join([given[0], function, *given[1:]])}'"
        )
    if found := re.fullmatch(r"(\w+)\((.*)\)", call.strip()):
        arguments = [part.strip() for part in found[2].split(",") if part.strip() not in {"", "*"}]
        raise Mistake(f"--agg {text!r}: write '{prefix}{':'.join([found[1], *arguments])}'")


def _numbers(text: str, parameter: str, value: str) -> Any:
    """`0.5`, or `0.5,0.9` for a list."""
    try:
        numbers = [json.loads(part) for part in value.split(",")]
    except ValueError:
        numbers = [value]
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise Mistake(f"--agg {text!r}: {parameter} is a number, and {value!r} is none")
    return numbers if len(numbers) > 1 else numbers[0]


def column_type(text: str) -> tuple[str, Any]:
    """A column and its entry of `source.types`.

    `NAME=TYPE`, `NAME=TYPE:FORMAT|FORMAT` for times, or `NAME={...}` with the entry in JSON.
    """
    parts = split(text, "=", 1)
    if len(parts) != 2 or not parts[1].strip():
        raise Mistake(f"--type {text!r}: write COLUMN=TYPE, such as price=decimal(18,2) or day=date:%d/%m/%Y")
    column, entry = name(parts[0]), parts[1].strip()
    if entry.startswith("{"):
        return column, json_value(entry, f"--type {column}")
    kind, colon, formats = entry.partition(":")
    return column, {"type": kind, "format": formats.split("|")} if colon else entry


def named_expression(option: str, text: str) -> dict[str, str]:
    """An entry of `derive` or `compute`: `NAME=EXPRESSION`."""
    parts = split(text, "=", 1)
    if len(parts) != 2 or not parts[0].strip() or parts[1].startswith("="):
        raise Mistake(f"{option} {text!r}: write NAME=EXPRESSION, such as 'net=price - fee'")
    return {"as": name(parts[0]), "expr": parts[1].strip()}


def setting(text: str) -> tuple[list[str], Any]:
    """A path into the spec and a value: `csv.skip_rows=1`; the value is JSON if it can be, else text."""
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise Mistake(f"--set {text!r}: write KEY=VALUE, such as csv.skip_rows=1 or options.max_bad_rows=10")
    if keys[0] in {"csv", "parquet", "xlsx"}:
        keys.insert(0, "source")
    try:
        return keys, json.loads(value)
    except ValueError:
        return keys, value


def json_value(text: str, place: str) -> Any:
    """*text* read as JSON; a Mistake shows where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        near = text[error.pos : error.pos + 20]
        raise Mistake(f"{place}: no JSON at character {error.pos + 1}, {near!r}: {error.msg}") from error


def _needed(value: str, option: str, text: str, form: str) -> str:
    if not value:
        raise Mistake(f"{option} {text!r} has an empty name; write {form}")
    return value


def _backticks(text: str) -> str:
    return f"A name with '=' or ':' stands in backticks and single quotes: '`{text}`'"


def _listed(parameters: Sequence[str]) -> str:
    return f"{' and '.join(parameters)} ({':'.join(parameters)})" if len(parameters) > 1 else "one column"
