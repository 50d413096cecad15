"""Query parameters, read strictly: an unknown name or an unreadable value is an error that names it."""

import re
from collections.abc import Mapping, Sequence

from multidict import MultiMapping

from shared.core.lifecycle import JobState
from shared.errors import Detail, InvalidCursor, InvalidParameter
from shared.spec.values import RESULT_NAME

LIST, MAX_LIST = 100, 1000
_JOB_ID = re.compile(r"job_[0-9a-z]{26}")


def invalid(parameter: str, detail: str) -> InvalidParameter:
    problem: Detail = {"parameter": parameter, "detail": detail}
    return InvalidParameter(f"{parameter}: {detail}", errors=[problem])


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
        raise invalid(name, f"expected a whole number from 1 to {most}")
    return int(text)


def job_state(query: MultiMapping[str]) -> JobState | None:
    state = single(query, "state")
    if state is not None and state not in tuple(JobState):
        raise invalid("state", f"expected one of {', '.join(JobState)}")
    return None if state is None else JobState(state)


def labels(query: MultiMapping[str]) -> dict[str, str] | None:
    """`label=team:growth`, any number of times; jobs that have them all are found."""
    found: dict[str, str] = {}
    for text in query.getall("label", []):
        key, colon, value = text.partition(":")
        if not colon or not key or "\x00" in text:
            raise invalid("label", "expected key:value")
        if found.setdefault(key, value) != value:
            raise invalid("label", f"no job has two values of {key}")
    return found or None


def list_limit(query: MultiMapping[str]) -> int:
    limit = whole_number(query, "limit", default=LIST, most=MAX_LIST)
    assert limit is not None
    return limit


def after_result(query: MultiMapping[str]) -> str | None:
    after = single(query, "after")
    if after is not None and not RESULT_NAME.fullmatch(after):
        raise InvalidCursor("after is the `next` of the page before")
    return after


def after_job(query: MultiMapping[str]) -> str | None:
    after = single(query, "after")
    if after is not None and not _JOB_ID.fullmatch(after):
        raise InvalidCursor("after is the `next` of the page before")
    return after


def filename(query: MultiMapping[str]) -> str | None:
    name = single(query, "filename")
    if name is not None and (not 1 <= len(name) <= 255 or not name.isprintable()):
        raise invalid("filename", "expected 1 to 255 printable characters")
    return name
