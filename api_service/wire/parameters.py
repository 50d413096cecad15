"""Query parameters, read strictly: an unknown name or an unreadable value is an error that names it."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from multidict import MultiMapping

from shared.core.lifecycle import JobState
from shared.errors import Detail, InvalidCursor, InvalidParameter
from shared.spec.names import quote
from shared.spec.values import RESULT_NAME

LIST, MAX_LIST = 100, 1000
JOB, UPLOAD, KEY = (re.compile(f"{kind}_[0-9a-z]{{26}}") for kind in ("job", "upl", "key"))
WORKER, VERSION, RESULT = re.compile("[a-z0-9_]{1,64}"), re.compile("[1-9][0-9]{0,8}"), RESULT_NAME
Value = TypeVar("Value", bound=StrEnum)


def invalid(parameter: str, detail: str) -> InvalidParameter:
    problem: Detail = {"parameter": parameter, "detail": detail}
    return InvalidParameter(f"{parameter}: {detail}", errors=[problem])


def expected(parameter: str, what: str, text: str) -> InvalidParameter:
    """For a parameter with the value *text*, where another one is expected."""
    return invalid(parameter, f"expected {what}, not {quote(text)}")


def only(query: Mapping[str, str], known: Sequence[str]) -> None:
    for name in query:
        if name not in known:
            raise invalid(name, f"unknown parameter; this URL takes {', '.join(known) or 'none'}")


def single(query: MultiMapping[str], name: str) -> str | None:
    values = query.getall(name, [])
    if len(values) > 1:
        raise invalid(name, "given more than once")
    return values[0] if values else None


def whole_number(query: MultiMapping[str], name: str, *, default: int | None, most: int) -> int | None:
    """From 1 to *most*."""
    text = single(query, name)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,10}", text) or not 1 <= int(text) <= most:
        raise expected(name, f"a whole number from 1 to {most}", text)
    return int(text)


def flag(query: MultiMapping[str], name: str) -> bool:
    text = single(query, name)
    if text is not None and text not in {"true", "false"}:
        raise expected(name, "true or false", text)
    return text == "true"


C = TypeVar("C", bound=str)


def choice(query: MultiMapping[str], name: str, options: Sequence[C]) -> C:
    """One of *options*; the first is the default."""
    text = single(query, name)
    if text is None:
        return options[0]
    for option in options:
        if text == option:
            return option
    raise expected(name, f"one of {', '.join(options)}", text)


def one_of(query: MultiMapping[str], name: str, values: type[Value]) -> Value | None:
    return choice(query, name, tuple(values)) if name in query else None


def job_state(query: MultiMapping[str]) -> JobState | None:
    return one_of(query, "state", JobState)


def labels(query: MultiMapping[str]) -> dict[str, str] | None:
    """`label=team:growth`, any number of times; jobs that have them all are found."""
    found: dict[str, str] = {}
    for text in query.getall("label", []):
        key, colon, value = text.partition(":")
        if not colon or not key or "\x00" in text:
            raise expected("label", "key:value", text)
        if found.setdefault(key, value) != value:
            raise invalid("label", f"no job has two values of {key}")
    return found or None


def list_limit(query: MultiMapping[str]) -> int:
    limit = whole_number(query, "limit", default=LIST, most=MAX_LIST)
    assert limit is not None
    return limit


def after(query: MultiMapping[str], form: re.Pattern[str]) -> str | None:
    """The `next` of the page before; its *form* is that of the things in the list: JOB, UPLOAD and so on."""
    text = single(query, "after")
    if text is not None and not form.fullmatch(text):
        raise InvalidCursor(f"after is the `next` of the page before, and not {quote(text)}")
    return text


def after_version(query: MultiMapping[str]) -> int | None:
    text = after(query, VERSION)
    return None if text is None else int(text)


def filename(query: MultiMapping[str]) -> str | None:
    name = single(query, "filename")
    if name is not None and (not 1 <= len(name) <= 255 or not name.isprintable()):
        raise expected("filename", "1 to 255 printable characters", name)
    return name
